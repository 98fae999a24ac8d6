"""What is checked when training begins, before the first batch costs anything."""

import math
import os
import re
import shutil
from typing import Any

from ..notify import warn
from ..policies.file_template import FileTemplate
from ..storage.local import remove_leftovers, write_error


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


def state_size(model: Any) -> int:
    """Return the bytes of a model's variables, those of its optimizer included.

    An optimizer that is not built yet counts as two variables for each that it trains: Adam's.
    """
    optimizer = getattr(model, "optimizer", None)
    variables = list(model.variables)
    if optimizer is not None:
        variables += optimizer.variables if optimizer.built else 2 * model.trainable_variables
    return sum(math.prod(v.shape) * _item_size(v.dtype) for v in variables)


def _item_size(dtype: str) -> int:
    bits = re.search(r"\d+", str(dtype))
    return max(int(bits.group()) // 8, 1) if bits else 1
