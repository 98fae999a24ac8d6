"""What is checked when training begins, before the first batch costs anything."""

import os
import shutil
import weakref
from typing import Any

from .commit import remove_leftovers, write_error
from .file_template import FileTemplate
from .notify import warn

# The callbacks that are in training; those of one `fit` share one `params` dict.
_training: "weakref.WeakSet[Any]" = weakref.WeakSet()


def check_target(template: FileTemplate, model_size: int) -> None:
    """Check that files of `template` can be written, and clear up after killed runs.

    Args:
        template: Where files will go.
        model_size: Bytes that one file takes, about.

    Raises:
        CheckpointWriteError: If the directory cannot be made or written, or a directory stands
            where the file should go.
    """
    directory = template.directory
    try:
        os.makedirs(directory, exist_ok=True)
        if template.only_path is not None and os.path.isdir(template.only_path):
            raise IsADirectoryError(None, "Is an existing directory")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(None, f"No permission to write in {directory!r}")
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise write_error(template.text, error) from error
    for folder in _folders(template):
        remove_leftovers(folder)
    if template.only_path is not None and os.path.islink(template.only_path):
        remove_leftovers(os.path.dirname(os.path.realpath(template.only_path)))
    if free < model_size:
        warn(
            f"{directory!r} has {free:,} bytes free and one checkpoint takes about "
            f"{model_size:,}: saves will fail unless room is made"
        )


def _folders(template: FileTemplate) -> list[str]:
    """Return the directories that this template's files may lie in."""
    folders = [template.directory]
    for _ in range(template.levels - 1):
        folders += [
            entry.path
            for folder in folders
            for entry in _subfolders(folder)
            if entry.path not in folders
        ]
    return folders


def _subfolders(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def enter(callback: Any) -> None:
    """Note a callback whose training begins."""
    _training.add(callback)


def companions(callback: Any) -> list[Any]:
    """Return the other callbacks of the same `fit` that have begun."""
    if callback.params is None:
        return []
    others = [other for other in _training if other is not callback]
    return [other for other in others if other.params is callback.params]


def warn_of_twins(callback: Any) -> None:
    """Warn if another callback of the same `fit` writes to the same path."""
    path = os.path.realpath(callback.filepath)
    for other in companions(callback):
        if os.path.realpath(other.filepath) == path:
            warn(
                f"two callbacks of one fit save to one path and overwrite each other's files: "
                f"{other!r} and {callback!r}"
            )


def leave(callback: Any) -> None:
    """Forget a callback whose training has ended."""
    _training.discard(callback)
