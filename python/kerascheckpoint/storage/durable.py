"""Flush files, names and new directories to the disk."""

import contextlib
import errno
import os
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def flush(fd: int) -> None:
    """Return when the bytes of an open file are on the disk."""
    os.fsync(fd)
    if fcntl is not None and hasattr(fcntl, "F_FULLFSYNC"):
        with contextlib.suppress(OSError):  # a network mount has no such cache
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # macOS: fsync alone stops at the drive's cache


@contextlib.contextmanager
def open_directory(path: str) -> Iterator[int | None]:
    """Open a directory to flush it later; open it before the rename, when a failure is harmless."""
    fd = os.open(path, os.O_RDONLY) if os.name == "posix" else None
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def flush_directory(fd: int | None) -> None:
    """Return when the names in an open directory are on the disk."""
    if fd is None:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise


def make_directories(path: str) -> None:
    """Create a directory and its missing parents, each with its name flushed to the disk.

    It is not enough to flush the last one: after a power failure, its parents might be missing.
    """
    if os.path.isdir(path):
        return
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    except FileNotFoundError:
        above = os.path.dirname(path)
        if above == path or os.path.isdir(above):  # /proc takes no new directories, and says so
            raise
        make_directories(above)
        make_directories(path)
    else:
        with open_directory(os.path.dirname(path)) as above_fd:
            flush_directory(above_fd)
