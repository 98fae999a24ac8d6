"""The local file that a checkpoint is written to before its upload."""

import contextlib
import os
import shutil
import tempfile
from types import TracebackType

_BY_DESCRIPTOR = "/proc/self/fd"


def staging_directory(directory: "str | os.PathLike[str] | None") -> str | None:
    """Return the user's directory for files that wait for their upload, checked and absolute.

    Raises:
        ValueError: If there is no such directory.
    """
    if directory is None:
        return None
    path = os.path.abspath(os.path.expanduser(os.fspath(directory)))
    if not os.path.isdir(path):
        raise ValueError(
            "storage_options['staging_directory'] must be an existing local directory. "
            f"Received: {directory!r}."
        )
    return path


class RemoteStagedFile:
    """A local file that will be uploaded.

    Where the system has `/proc`, the file has no name in any directory, so even a killed process
    leaves nothing behind.

    Attributes:
        path: A path under which this process can read the file.
        fd: File descriptor, open for reading and writing.
    """

    def __init__(self, directory: str | None, name: str) -> None:
        """Plan a file in `directory`; `None` uses the directory of `tempfile`."""
        self._directory = directory
        self._name = name
        self._folder: str | None = None
        self._is_nameless = os.path.isdir(_BY_DESCRIPTOR)

    def __enter__(self) -> "RemoteStagedFile":
        if self._is_nameless:
            with tempfile.TemporaryFile(dir=self._directory, buffering=0) as file:
                self.fd = os.dup(file.fileno())
            self.path = f"{_BY_DESCRIPTOR}/{self.fd}"
        else:
            self.path = os.path.join(self._own_folder(), "checkpoint")
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def sibling(self, suffix: str) -> str:
        """Return a second temporary path that ends in `suffix`, for a writer that needs it."""
        return os.path.join(self._own_folder(), f"checkpoint{suffix}")

    def flush(self) -> None:
        """Flush the file, so that a full disk shows now, and go back to its beginning."""
        os.fsync(self.fd) if not self._is_nameless else None
        os.lseek(self.fd, 0, os.SEEK_SET)

    def _own_folder(self) -> str:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="kerascheckpoint-", dir=self._directory)
        return self._folder
