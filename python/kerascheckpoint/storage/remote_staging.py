"""The local file that a checkpoint is written to before its upload."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from types import TracebackType

from ..errors import CheckpointError
from .base import reason_of

_BY_DESCRIPTOR = "/proc/self/fd"


def staging_directory(directory: "str | os.PathLike[str] | None") -> str | None:
    """Return the user's directory for files that wait for their upload, checked and absolute.

    Raises:
        ValueError: If there is no such directory.
    """
    if directory is None:
        return None
    is_path = isinstance(directory, (str, os.PathLike))
    path = os.path.abspath(os.path.expanduser(directory)) if is_path else ""
    if not os.path.isdir(path):
        raise ValueError(
            "storage_options['staging_directory'] must be an existing local directory. "
            f"Received: {directory!r}."
        )
    return path


class KeptFile:
    """Keeps the local file of one upload for the next one, which overwrites it.

    The system's cache has memory for such a file already. In a virtual machine, 40 MB were written
    into it in 13 ms and into a new one in 75 ms. A forked process has the descriptor too, and must
    not write into the file of its parent.
    """

    def __init__(self) -> None:
        self._fds: list[int] = []
        self._process = os.getpid()

    def take(self) -> int | None:
        """Return the file descriptor of the kept file, if there is one of this process."""
        if self._process != os.getpid():
            self.close()
            self._process = os.getpid()
        return self._fds.pop() if self._fds else None

    def keep(self, fd: int) -> None:
        """Keep this file in place of the one before."""
        self.close()
        self._fds.append(fd)

    def close(self) -> None:
        """Close the kept file."""
        while self._fds:
            os.close(self._fds.pop())

    __del__ = close


class RemoteStagedFile:
    """A local file that will be uploaded.

    Where the system has `/proc`, the file has no name in any directory, so even a killed process
    leaves nothing behind.

    Attributes:
        path: A path under which this process can read the file.
        fd: File descriptor, open for reading and writing.
    """

    def __init__(self, directory: str | None, kept: KeptFile | None = None) -> None:
        """Plan a file.

        Args:
            directory: The directory for it; `None` uses that of `tempfile`.
            kept: Where its file may come from, and where it is put afterwards.
        """
        self._directory = directory
        self._kept = kept
        self._folder: str | None = None
        self._is_nameless = os.path.isdir(_BY_DESCRIPTOR)

    def __enter__(self) -> "RemoteStagedFile":
        with self.reporting():
            self._open()
        return self

    def _open(self) -> None:
        if self._is_nameless:
            kept = self._kept.take() if self._kept is not None else None
            self.fd = kept if kept is not None else self._new_file()
            self.path = f"{_BY_DESCRIPTOR}/{self.fd}"
        else:
            self.path = os.path.join(self._own_folder(), "checkpoint")
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fd, self.fd = self.fd, -1
        if error is None and self._is_nameless and self._kept is not None:
            self._kept.keep(fd)
        elif fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Name the local directory in errors, which otherwise seem to be those of the server."""
        try:
            yield
        except CheckpointError:
            raise
        except OSError as error:
            place = self._directory or tempfile.gettempdir()
            text = f"{reason_of(error)}, in the local directory for uploads, {place!r}"
            raise OSError(error.errno, text) from error

    def sibling(self, suffix: str) -> str:
        """Return a second temporary path that ends in `suffix`, for a writer that needs it."""
        return os.path.join(self._own_folder(), f"checkpoint{suffix}")

    def flush(self) -> None:
        """Flush the file, so that a full disk shows now, and go back to its beginning."""
        os.fsync(self.fd) if not self._is_nameless else None
        os.lseek(self.fd, 0, os.SEEK_SET)

    def _new_file(self) -> int:
        with tempfile.TemporaryFile(dir=self._directory, buffering=0) as file:
            return os.dup(file.fileno())

    def _own_folder(self) -> str:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="kerascheckpoint-", dir=self._directory)
        return self._folder
