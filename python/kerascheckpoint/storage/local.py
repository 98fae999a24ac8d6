"""Local disks: write to a temporary name, flush, rename, flush the directory."""

import contextlib
import dataclasses
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from ..errors import CheckpointCorruptError, CheckpointNotFoundError, CheckpointWriteError
from ..file_kind import DIRECTORY_SUFFIXES, SUFFIXES
from . import durable, leftovers, listing
from .base import FileStatus, write_error


@dataclasses.dataclass(frozen=True)
class LocalStorage:
    """Files on this machine, on any mounted file system. See `base.Storage`."""

    is_local: bool = dataclasses.field(default=True, init=False)
    concurrency: int = dataclasses.field(default=1, init=False)

    @property
    def options(self) -> Mapping[str, Any]:
        """No options."""
        return {}

    def resolve(self, path: str) -> str:
        """Return the path with all links followed."""
        return os.path.realpath(path)

    def open(self, path: str) -> BinaryIO:
        """Open a regular file; see `base.Storage.open`."""
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its other end
        with _naming(path):
            fd = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise CheckpointCorruptError(f"{path!r} is not a regular file")
        return cast(BinaryIO, open(fd, "rb", buffering=0))

    def fetching(self) -> "LocalStorage":
        """Return this place: its files are on this machine."""
        return self

    def status(self, path: str) -> FileStatus:
        """Return size, time and identity; the size of a directory is the total of its files."""
        with _naming(path):
            found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return listing.status_of(found)
        size = sum(file.size for file in self.files_below(path).values())
        return dataclasses.replace(listing.status_of(found), size=size)

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at `path`."""
        return os.path.exists(path)

    def is_directory(self, path: str) -> bool:
        """Tell whether `path` is a directory."""
        return os.path.isdir(path)

    def paths(self, directory: str, levels: int = 1) -> list[str]:
        """Return the files in a directory; see `base.Storage.paths`."""
        return listing.checkpoints_below(directory, levels)

    def files_below(self, directory: str) -> dict[str, FileStatus]:
        """Return all files below a directory; see `base.Storage.files_below`."""
        return listing.files_below(directory)

    def prepare(self, directory: str, levels: int = 1, only_path: str | None = None) -> int | None:
        """Make the directory, check it, remove leftovers; return the free bytes of its disk."""
        try:
            durable.make_directories(directory)
            if only_path is not None and not only_path.endswith(DIRECTORY_SUFFIXES):
                _check_replaceable(only_path)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(None, f"No permission to write in {directory!r}")
            leftovers.try_out(directory)
            free = shutil.disk_usage(directory).free
        except OSError as error:
            raise write_error(only_path or directory, error) from error
        for folder in listing.folders_below(directory, levels):
            leftovers.remove_leftovers(folder)
        if only_path is not None and os.path.islink(only_path):
            leftovers.remove_leftovers(os.path.dirname(os.path.realpath(only_path)))
        return free

    @contextlib.contextmanager
    def atomic_write(
        self, path: str, root: str | None = None, *, overwrites: bool = False
    ) -> Iterator["LocalStagedFile"]:
        """Write a file at `path`, whole or not at all; follow a symbolic link.

        If the body raises or the process dies, the earlier file stays as it is.
        """
        staged = None
        try:
            target = os.path.realpath(path)
            _check_replaceable(target)
            if root is not None:
                os.stat(root)
            durable.make_directories(os.path.dirname(target))
            staged = LocalStagedFile(target)
            yield staged
            staged.publish()
        except CheckpointWriteError:
            raise
        except OSError as cause:
            published = staged is not None and staged.is_published()
            raise write_error(path, cause, published=published) from cause
        except BaseException as error:
            error.published = staged is not None and staged.is_published()  # type: ignore[attr-defined]
            raise
        finally:
            try:
                if staged is not None:
                    staged.discard()
            finally:  # again, in case Ctrl-C interrupted the first attempt
                if staged is not None:
                    staged.discard()

    def release(self) -> None:
        """Do nothing: every staged file becomes a checkpoint."""

    def delete(self, path: str) -> None:
        """Delete a file or a whole directory; do nothing if it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            leftovers.delete(path)


class LocalStagedFile:
    """A temporary file that will become `target`.

    Attributes:
        target: Where the file will appear.
        path: The temporary name.
        fd: File descriptor, open for reading and writing.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._written: os.stat_result | None = None
        directory, name = os.path.split(target)
        self.path, self.fd = leftovers.claim(directory, name)  # last: Ctrl-C must not lose it

    def sibling(self, suffix: str) -> str:
        """Return a second temporary path that ends in `suffix`, for a writer that needs it."""
        return self.path + suffix

    def publish(self) -> None:
        """Flush the file and rename it to the target."""
        durable.flush(self.fd)
        self._written = os.fstat(self.fd)
        with durable.open_directory(os.path.dirname(self.target)) as directory:
            os.replace(self.path, self.target)
            try:
                self._release()
            finally:
                durable.flush_directory(directory)

    def is_published(self) -> bool:
        """Tell whether the file is at its target, even if the rename reported an error."""
        try:
            return self._written is not None and os.path.samestat(
                os.stat(self.target), self._written
            )
        except OSError:
            return False

    def discard(self) -> None:
        """Remove the temporary file; may be called twice, and after `publish`."""
        for path in (self.path, *(self.sibling(suffix) for suffix in SUFFIXES)):
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._release()

    def _release(self) -> None:
        fd, self.fd = self.fd, -1
        leftovers.release(self.path, fd)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn the system's errors about a path into errors of this package."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise CheckpointCorruptError(f"{path!r} is a link that leads in a circle") from None
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise CheckpointCorruptError(f"{path!r} is not a regular file") from None
        raise


def _check_replaceable(path: str) -> None:
    """Raise an OSError if there is anything but a file at `path`: a directory, a device, a pipe."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing there; the save reports any other reason
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is an existing directory", path)
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "Is not a regular file", path)
