"""Temporary files: hidden names under locks, so that only those of dead writers are removed.

A temporary file lies in its target's directory under a hidden name that no reader takes for a
checkpoint, and its writer holds a lock on it. A later run finds the lock free exactly if that
writer is gone, so it removes the leftovers of killed runs and nobody else's work.
"""

import contextlib
import errno
import os
import secrets
import shutil
import time

from . import durable

try:
    import fcntl
except ImportError:  # Windows: no locks, leftovers are told by their age alone
    fcntl = None  # type: ignore[assignment]

MARK = ".kerascheckpoint-tmp"
_UNLOCKABLE_AGE = 24 * 3600.0  # seconds after which a file on a system without locks is a leftover

# Locks of one process do not exclude each other, so it remembers its own files as well.
_own: set[str] = set()


def is_temporary(name: str) -> bool:
    """Tell whether a file's name is one of the temporary names of this module."""
    return name.startswith(".") and MARK in name


def temporary_path(directory: str, name: str) -> str:
    """Return a new temporary path in a directory, for what will be called `name`."""
    return os.path.join(directory, f".{name[:40]}.{secrets.token_hex(6)}{MARK}")


def claim(directory: str, name: str) -> tuple[str, int]:
    """Make and lock a temporary file; return its path and its descriptor."""
    os.stat(directory)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    while True:
        path = temporary_path(directory, name)
        fd = -1
        try:
            _own.add(path)
            fd = os.open(path, flags, 0o666)
            # Somebody who looks for leftovers may have been quicker than the lock; then once more.
            if _lock(fd) is not False and _is_same(fd, path):
                return path, fd
            os.close(fd)
        except BaseException:
            if fd >= 0:
                os.close(fd)
                os.unlink(path)
            _own.discard(path)
            raise
        _own.discard(path)


def try_out(directory: str) -> None:
    """Make and remove a temporary file: some places refuse what their permissions allow."""
    path, fd = claim(directory, "")
    try:
        os.unlink(path)
    finally:
        release(path, fd)


def release(path: str, fd: int) -> None:
    """Close a file that `claim` made, and with it end the lock; harmless when done twice."""
    try:
        if fd >= 0:
            os.close(fd)
    finally:
        _own.discard(path)


def remove_leftovers(directory: str) -> list[str]:
    """Remove the temporary files in `directory` whose writers are gone; return their names."""
    directory = os.path.realpath(directory)  # as those of our own are noted
    try:
        names = [name for name in os.listdir(directory) if is_temporary(name)]
    except OSError:
        return []
    gone = {stem for stem in {_stem(name) for name in names} if _is_leftover(directory, stem)}
    removed = []
    for name in names:
        if _stem(name) in gone:
            with contextlib.suppress(OSError):
                _remove(os.path.join(directory, name))
                removed.append(name)
    return removed


def delete(path: str) -> None:
    """Delete a file, or a directory as a whole: a reader sees all of it or nothing.

    Raises:
        OSError: If the system refuses; `FileNotFoundError` if there is nothing.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    hidden = temporary_path(*os.path.split(path)) + ".deleted"
    with durable.open_directory(os.path.dirname(path)) as parent:
        os.rename(path, hidden)
        durable.flush_directory(parent)  # else a power failure may bring back a half of it
    shutil.rmtree(hidden)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _stem(name: str) -> str:
    """The name of the locked file that this temporary file belongs to."""
    return name[: name.rindex(MARK) + len(MARK)]


def _lock(fd: int) -> bool | None:
    """Lock a file: True if it is ours now, False if it is another's, None if that is unknown.

    A POSIX lock: HDF5 uses locks of the other kind (flock), and a reader must not find the file
    locked in the moment after its rename.
    """
    if fcntl is None:
        return None
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True


def _is_same(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _is_leftover(directory: str, stem: str) -> bool:
    path = os.path.join(directory, stem)
    if path in _own:
        return False
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        locked = _lock(fd)
        if locked is None:
            return time.time() - os.fstat(fd).st_mtime > _UNLOCKABLE_AGE
        return locked
    finally:
        os.close(fd)
