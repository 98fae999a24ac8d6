"""A remote file that is fetched once, as a whole, while it is already being read."""

import os
import threading
from collections.abc import Callable

from .remote_file import PART, RemoteFile
from .remote_staging import RemoteStagedFile

BLOCK = 8 << 20  # bytes of one request


class DownloadedFile(RemoteFile):
    """A file that goes to a local one, several blocks at a time, from its first large read on.

    A large read waits for its block only. Small reads before that fetch their own part, as those of
    a list do. If the download fails, everything is read from the remote file.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        size: int,
        modified: float,
        local: RemoteStagedFile,
        threads: int,
    ) -> None:
        """Open a file at its beginning.

        Args:
            fetch: As for `RemoteFile`; called from several threads.
            size: Size of the file in bytes.
            modified: Time of the last write, in seconds since 1970.
            local: An empty local file; it is closed with this one.
            threads: Number of blocks to fetch at the same time.
        """
        super().__init__(fetch, size, modified)
        self._local = local
        self._waiting = list(range(-(-size // BLOCK)))[::-1]  # blocks, the next one last
        self._arrived: set[int] = set()
        self._changed = threading.Condition()
        self._is_over = False  # closed or failed
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def close(self) -> None:
        """Stop the download and give the local file back."""
        with self._changed:
            if not self.closed:
                self._is_over = True
                self._local.__exit__(None, None, None)
        super().close()

    def _bytes_at(self, start: int, stop: int) -> "bytes | memoryview":
        index = start // BLOCK
        is_large = stop - start >= PART
        if is_large:
            self._start()
        if (is_large and self._has_come(index)) or index in self._arrived:
            return os.pread(self._local.fd, min(stop, (index + 1) * BLOCK) - start, start)
        return super()._bytes_at(start, stop)

    def _start(self) -> None:
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.start()

    def _has_come(self, index: int) -> bool:
        """Wait for a block; return whether it has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or index in self._arrived)
            return index in self._arrived

    def _work(self) -> None:
        try:
            while (index := self._next()) is not None:
                start = index * BLOCK
                content = self._exactly(start, min(start + BLOCK, self.size))
                with self._changed:  # not while the local file is being closed
                    if self._is_over:
                        return
                    self._write(content, start)
                    self._arrived.add(index)
                    self._changed.notify_all()
        except Exception:  # reading without the download will tell what is wrong
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            return self._waiting.pop() if self._waiting and not self._is_over else None

    def _write(self, content: bytes, start: int) -> None:
        left = memoryview(content)
        while left:
            written = os.pwrite(self._local.fd, left, start)
            left, start = left[written:], start + written
