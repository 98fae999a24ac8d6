"""The files below a local directory."""

import contextlib
import os

from ..file_kind import DIRECTORY_SUFFIXES
from .base import FileStatus
from .leftovers import is_temporary


def checkpoints_below(directory: str, levels: int) -> list[str]:
    """Return the files and checkpoint directories down to `levels` levels, sorted.

    Temporary ones are left out.
    A directory reached through several links is visited once per level; otherwise links to `.`
    would multiply with every level.
    """
    return _below(directory, levels, set())


def folders_below(directory: str, levels: int) -> list[str]:
    """Return `directory` and those below it that may hold checkpoints; follow no links."""
    folders = newest = [directory]
    for _ in range(levels - 1):
        newest = [path for folder in newest for path in _subfolders(folder)]
        folders = folders + newest
    return folders


def files_below(directory: str) -> dict[str, FileStatus]:
    """Return all files below a directory by their path relative to it, with `/` in it."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # deleted meanwhile
                status = status_of(os.stat(path))
                found[os.path.relpath(path, directory).replace(os.sep, "/")] = status
    return found


def status_of(found: os.stat_result) -> FileStatus:
    """Return what the system knows of a file."""
    identity = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
    return FileStatus(found.st_size, found.st_mtime, identity)


def _below(directory: str, levels: int, seen: set[tuple[int, int, int]]) -> list[str]:
    if not _is_new(directory, levels, seen):
        return []
    paths = []
    for name in sorted(_names_in(directory)):
        path = os.path.join(directory, name)
        is_one = name.endswith(DIRECTORY_SUFFIXES) or os.path.isfile(path)
        if is_one or (levels <= 1 and os.path.islink(path)):
            paths.append(path)
        elif levels > 1:
            paths += _below(path, levels - 1, seen)
    return paths


def _is_new(directory: str, levels: int, seen: set[tuple[int, int, int]]) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    key = status.st_dev, status.st_ino, levels
    if key in seen:
        return False
    seen.add(key)
    return True


def _names_in(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if not is_temporary(name)]
    except OSError:
        return []


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
