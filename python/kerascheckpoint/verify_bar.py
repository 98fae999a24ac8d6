"""Verify files, with a progress bar if that takes long."""

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from . import location
from .checkpoint_info import CheckpointInfo
from .errors import CheckpointError
from .formats.forms import open_checkpoint
from .notify import warn
from .storage.base import Storage
from .storage.places import storage_for
from .storage.random_access import RandomAccessFile
from .verify import verify_open

_FROM = 1 << 30  # bytes; below that, no bar is shown


class VerifyBar:
    """Verifies files one after the other.

    For 1 GB or more, a terminal shows a progress bar on standard error. It is hidden while results
    and messages are printed, so they never mix.
    """

    def __init__(
        self, paths: Sequence[str], options: Callable[[str], dict[str, Any] | None]
    ) -> None:
        """Find the sizes of the files.

        Args:
            paths: The files to verify.
            options: Returns the storage options for a path.
        """
        self._storages = {
            path: storage_for(location.absolute(path), options(path), argument="path")
            for path in paths
        }
        self._sizes = {path: _size(path, storage) for path, storage in self._storages.items()}
        self._bar = Progress(
            *(BarColumn(), DownloadColumn(), TimeRemainingColumn()),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # results go where the user sends them
            redirect_stderr=False,
            disable=sum(self._sizes.values()) < _FROM or not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("verify", total=sum(self._sizes.values()))
        self._done = 0  # bytes of the finished files

    def verify(self, path: str) -> CheckpointInfo:
        """Verify a checkpoint, as `kerascheckpoint.verify_checkpoint` does.

        Raises:
            CheckpointError: If it is missing or damaged.
        """
        size = self._sizes[path]  # bytes that are read twice count once
        storage = cast(
            Storage,
            _CountingStorage(self._storages[path], lambda count: self._show(min(count, size))),
        )
        self._bar.start()
        try:
            with open_checkpoint(location.absolute(path), storage) as checkpoint:
                remarks, info = verify_open(checkpoint), checkpoint.info
        finally:
            self._done += size
            self._show(0)
            self._bar.stop()
        for remark in remarks:
            warn(remark)
        return info

    def _show(self, count: int) -> None:
        self._bar.update(self._task, completed=self._done + count)


def _size(path: str, storage: Storage) -> int:
    with contextlib.suppress(CheckpointError, OSError):
        return storage.status(location.absolute(path)).size
    return 0  # `verify` will report what is wrong


class _CountingStorage:
    """A place whose files report how many of their bytes were read."""

    def __init__(self, storage: Storage, report: Callable[[int], None]) -> None:
        self._storage, self._report = storage, report

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def open(self, path: str) -> BinaryIO:
        return cast(BinaryIO, _CountingFile(self._storage.open(path), self._report))


class _CountingFile(RandomAccessFile):
    """An open file that reports how many of its bytes were read."""

    def __init__(self, file: BinaryIO, report: Callable[[int], None]) -> None:
        super().__init__(file.seek(0, io.SEEK_END))
        self._file, self._report, self._count = file, report, 0
        self.modified = getattr(file, "modified", None)  # of a remote file

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._position)
        done = int(self._file.readinto(buffer))  # type: ignore[attr-defined]
        self._position += done
        self._count += done
        self._report(self._count)
        return done

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
        super().close()
