"""Publish a file whole or not at all: temporary name, flush, rename, flush of the directory.

The temporary file lies in the target's directory under a hidden name that no reader takes for a
checkpoint, and its writer holds a lock on it. A later run finds the lock free exactly if that
writer is gone, so it removes the leftovers of killed runs and nobody else's work.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator

from ..errors import CheckpointWriteError
from ..file_kind import SUFFIXES

try:
    import fcntl
except ImportError:  # Windows: no locks, leftovers are told by their age alone
    fcntl = None  # type: ignore[assignment]

MARK = ".kerascheckpoint-tmp"
_UNLOCKABLE_AGE = 24 * 3600.0  # seconds after which a file on a system without locks is a leftover

# Locks of one process do not exclude each other, so it remembers its own files as well.
_own: set[str] = set()


class StagedFile:
    """A temporary file that is about to become `target`.

    Attributes:
        target: Where the file will appear.
        path: The temporary name.
        fd: File descriptor, open for reading and writing.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        directory, name = os.path.split(target)
        self.path, self.fd = _claim(directory, name)

    def sibling(self, suffix: str) -> str:
        """Return a second temporary name, for a writer that insists on a suffix of its own."""
        return self.path + suffix

    def publish(self) -> None:
        """Make the file durable and let it appear at the target."""
        _flush(self.fd)
        with _open_directory(os.path.dirname(self.target)) as directory:
            os.replace(self.path, self.target)
            self._release()
            _flush_directory(directory)

    def discard(self) -> None:
        """Remove what was written; harmless after `publish`, and when done twice."""
        for path in (self.path, *(self.sibling(suffix) for suffix in SUFFIXES)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._release()

    def _release(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        _own.discard(self.path)


@contextlib.contextmanager
def atomic_write(path: str, root: str | None = None) -> Iterator[StagedFile]:
    """Write a new file for `path`: the body writes, the end of the block publishes.

    Missing parent directories are made; a symbolic link is followed. If the body raises or the
    process dies, the file that stood at `path` stays as it is.

    Args:
        path: Where the file will appear.
        root: A directory above it that is not made again if it has been deleted.

    Raises:
        CheckpointWriteError: If the system refuses (disk full, no permission, ...).
    """
    staged = None
    try:
        target = os.path.realpath(path)
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, "Is an existing directory", path)
        if root is not None:
            os.stat(root)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        staged = StagedFile(target)
        yield staged
        staged.publish()
    except CheckpointWriteError:
        raise
    except OSError as cause:
        raise write_error(path, cause) from cause
    finally:
        try:
            if staged is not None:
                staged.discard()
        finally:  # once more, if Ctrl-C came in the middle of that
            if staged is not None:
                staged.discard()


def write_error(path: str, cause: OSError) -> CheckpointWriteError:
    """Return the error that names the path and the system's reason."""
    reason = cause.strerror or str(cause)
    error = CheckpointWriteError(f"could not write checkpoint {path!r}: {reason}")
    error.errno, error.strerror, error.filename = cause.errno, cause.strerror, path
    return error


def is_temporary(name: str) -> bool:
    """Tell whether a file's name is one of the temporary names of this module."""
    return name.startswith(".") and MARK in name


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
                os.unlink(os.path.join(directory, name))
                removed.append(name)
    return removed


def _stem(name: str) -> str:
    """The name of the locked file that this temporary file belongs to."""
    return name[: name.rindex(MARK) + len(MARK)]


def _claim(directory: str, name: str) -> tuple[str, int]:
    os.stat(directory)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    while True:
        path = os.path.join(directory, f".{name[:40]}.{secrets.token_hex(6)}{MARK}")
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


def _flush(fd: int) -> None:
    os.fsync(fd)
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        with contextlib.suppress(OSError):  # a network mount has no such cache
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # macOS: fsync alone stops at the drive's cache


@contextlib.contextmanager
def _open_directory(path: str) -> Iterator[int | None]:
    """Open a directory for its flush: before the rename, while a refusal costs nothing yet."""
    fd = os.open(path, os.O_RDONLY) if os.name == "posix" else None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _flush_directory(fd: int | None) -> None:
    if fd is None:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
