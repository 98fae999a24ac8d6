"""A remote file that fetches only the parts that are read."""

from collections import OrderedDict
from collections.abc import Callable

from .random_access import RandomAccessFile

BLOCK = 64 << 10  # bytes per block; the head or the end of a checkpoint fits into one
_KEPT = 4  # number of blocks that are kept


class RemoteFile(RandomAccessFile):
    """A file that can be read at any position.

    A small read fetches whole blocks, of which the last few are kept. A read of a block or more
    fetches exactly its bytes in one request.

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
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read into `buffer`; return the number of bytes, fewer at the end of the file."""
        target = memoryview(buffer).cast("B")
        start = min(self._position, self.size)
        stop = min(start + len(target), self.size)
        if stop - start >= BLOCK:
            target[: stop - start] = self._exactly(start, stop)
        else:
            at = start
            while at < stop:
                index = at // BLOCK
                part = self._block(index)[at - index * BLOCK : stop - index * BLOCK]
                target[at - start : at - start + len(part)] = part
                at += len(part)
        self._position = stop if stop > start else self._position
        return stop - start

    def _block(self, index: int) -> bytes:
        if index not in self._blocks:
            start = index * BLOCK
            self._blocks[index] = self._exactly(start, min(start + BLOCK, self.size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return self._blocks[index]

    def _exactly(self, start: int, stop: int) -> bytes:
        content = self._fetch(start, stop)
        if len(content) != stop - start:
            raise OSError(
                None, f"got {len(content)} of {stop - start} bytes: the file has been replaced"
            )
        return content
