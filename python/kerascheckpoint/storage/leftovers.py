"""Temporary files with hidden names and locks, so that only those of dead writers are removed.

A temporary file lies in the directory of its target under a hidden name that readers ignore. Its
writer holds a lock on it. A later run finds the lock free only if that writer has died, so it
removes what killed runs left and nothing else.
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
except ImportError:  # Windows has no such locks; the age of a file decides
    fcntl = None  # type: ignore[assignment]

MARK = ".kerascheckpoint-tmp"
_UNLOCKABLE_AGE = 24 * 3600.0  # without locks, files older than this many seconds are leftovers

# Locks do not exclude each other within a process, so it also remembers its own files.
_own: set[str] = set()


def is_temporary(name: str) -> bool:
    """Tell whether a name is a temporary name of this package."""
    return name.startswith(".") and MARK in name


def temporary_path(directory: str, name: str) -> str:
    """Return a new temporary path in a directory for a target called `name`."""
    return os.path.join(directory, f".{name[:40]}.{secrets.token_hex(6)}{MARK}")


def claim(directory: str, name: str) -> tuple[str, int]:
    """Create and lock a temporary file; return its path and descriptor."""
    os.stat(directory)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    while True:
        path = temporary_path(directory, name)
        fd = -1
        try:
            _own.add(path)
            fd = os.open(path, flags, 0o666)
            # A cleaner may have removed it before the lock was set; then try again.
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
    """Close a file from `claim`, which ends its lock; may be called twice."""
    try:
        if fd >= 0:
            os.close(fd)
    finally:
        _own.discard(path)


def remove_leftovers(directory: str) -> list[str]:
    """Remove the temporary files in `directory` whose writers are gone; return their names."""
    directory = os.path.realpath(directory)  # `_own` has real paths
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
    """Return the name of the locked file that a temporary name belongs to."""
    return name[: name.rindex(MARK) + len(MARK)]


def _lock(fd: int) -> bool | None:
    """Lock a file: True if that succeeded, False if another process has it, None if unknown.

    HDF5 uses flock, so this is a POSIX lock (`lockf`): a reader must not find the file locked just
    after its rename.
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
