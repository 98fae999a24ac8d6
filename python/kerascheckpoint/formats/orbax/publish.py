"""Publish a directory whole or not at all: hidden name, flush, rename, flush the parent."""

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator

from ...storage import durable, leftovers
from ...storage.base import write_error

_STEP = re.compile(r"\d+(\..*)?|\..*")  # also Orbax' unfinished steps and hidden files
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux' renameat2
_HERE = -100  # AT_FDCWD


def check_replaceable(path: str) -> None:
    """Check that nothing else than steps of Orbax would be lost if `path` were replaced.

    Raises:
        NotADirectoryError: If it is a file.
        IsADirectoryError: If it is a directory that holds something else.
    """
    if os.path.isdir(path):
        others = [name for name in sorted(os.listdir(path)) if not _STEP.fullmatch(name)]
        if others:
            text = f"Is a directory that holds other things than a checkpoint: {others[0]!r}"
            raise IsADirectoryError(errno.EISDIR, text, path)
    elif os.path.exists(path):
        raise NotADirectoryError(errno.ENOTDIR, "Is an existing file", path)


@contextlib.contextmanager
def staged_directory(path: str, root: str | None) -> Iterator[str]:
    """Fill a new directory for `path` in the body of a `with` block; its end publishes it.

    Until then, the directory has a hidden name beside the target; a lock tells later runs whether
    its writer is alive. If the body raises or the process dies, `path` stays as it is.

    Args:
        path: Where the directory will appear.
        root: A directory above it that is not created again if it was deleted.

    Raises:
        CheckpointWriteError: If the directory could not be written.
    """
    target = os.path.realpath(path)
    parent, name = os.path.split(target)
    lock, fd, is_published = "", -1, False
    try:
        if root is not None:
            os.stat(root)
        durable.make_directories(parent)
        lock, fd = leftovers.claim(parent, name)
        staged = lock + ".orbax"
        os.mkdir(staged)
        yield staged
        _flush_below(staged)
        with durable.open_directory(parent) as parent_fd:
            replaced = _move(staged, target)
            is_published = True
            durable.flush_directory(parent_fd)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)
    except OSError as cause:
        raise write_error(path, cause, published=is_published) from cause
    finally:
        if lock:
            shutil.rmtree(lock + ".orbax", ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(lock)
            leftovers.release(lock, fd)


def _move(staged: str, target: str) -> str | None:
    """Rename a directory to the target; return the new path of the old one, if there was one.

    A directory cannot be renamed over another. Linux can exchange the two atomically. Elsewhere,
    the old one is moved away first, and for an instant there is neither.
    """
    if not os.path.lexists(target):
        os.rename(staged, target)
        return None
    if not os.path.isdir(target):
        raise NotADirectoryError(errno.ENOTDIR, "Is an existing file", target)
    if _exchange(staged, target):
        return staged
    aside = leftovers.temporary_path(*os.path.split(target)) + ".deleted"
    os.rename(target, aside)
    try:
        os.rename(staged, target)
    except OSError:
        os.rename(aside, target)
        raise
    return aside


def _exchange(one: str, other: str) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(exchange(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)


def _flush_below(directory: str) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                durable.flush(fd)
            finally:
                os.close(fd)
        with durable.open_directory(folder) as folder_fd:
            durable.flush_directory(folder_fd)
