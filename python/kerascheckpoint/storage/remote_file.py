"""A remote file that fetches only the parts that are read."""

from collections.abc import Callable

from .random_access import RandomAccessFile

PART = 128 << 10  # bytes fetched at least; with most checkpoints, all that a list reads of one
_KEPT = 4  # number of parts that are kept


class RemoteFile(RandomAccessFile):
    """A file that can be read at any position.

    A small read fetches a part of `PART` bytes, which is kept for later reads: the first one near
    the end of the file fetches its last part. A large read fetches exactly its bytes.

    Attributes:
        modified: Time of the last write, in seconds since 1970.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], size: int, modified: float = 0.0
    ) -> None:
        """Open a file at its beginning.

        Args:
            fetch: Returns the bytes from a start position up to, but not including, a stop.
            size: Size of the file in bytes.
            modified: Time of the last write, in seconds since 1970.
        """
        super().__init__(size)
        self.modified = modified
        self._fetch = fetch
        self._parts: list[tuple[int, bytes]] = []  # (position, content), the newest last

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read into `buffer`; return the number of bytes, fewer at the end of the file."""
        target = memoryview(buffer).cast("B")
        start = min(self._position, self.size)
        stop = min(start + len(target), self.size)
        at = start
        while at < stop:
            piece = self._bytes_at(at, stop)
            target[at - start : at - start + len(piece)] = piece
            at += len(piece)
        self._position = max(self._position, stop)
        return stop - start

    def _bytes_at(self, start: int, stop: int) -> "bytes | memoryview":
        """Return some bytes from `start` on, at most up to `stop`."""
        for position, content in self._parts:
            if position <= start < position + len(content):
                return memoryview(content)[start - position : stop - position]
        if stop - start >= PART:
            return self._exactly(start, stop)
        position = max(0, min(start, self.size - PART))
        content = self._exactly(position, min(position + PART, self.size))
        self._parts = [*self._parts[1 - _KEPT :], (position, content)]
        return memoryview(content)[start - position : stop - position]

    def _exactly(self, start: int, stop: int) -> bytes:
        content = self._fetch(start, stop)
        if len(content) != stop - start:
            raise OSError(
                None, f"got {len(content)} of {stop - start} bytes: the file has been replaced"
            )
        return content
