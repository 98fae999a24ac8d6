"""A remote file of which only the parts are fetched that somebody reads."""

import io
from collections import OrderedDict
from collections.abc import Callable

BLOCK = 64 << 10  # bytes that a small read fetches: the head or the end of a checkpoint fits
_KEPT = 4  # blocks


class RemoteFile(io.RawIOBase):
    """A file for reading at any position.

    Small reads fetch whole blocks and keep the last few; a read of a block or more fetches exactly
    its bytes in one request.

    Attributes:
        modified: When it was written last, in seconds since 1970.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], size: int, modified: float = 0.0
    ) -> None:
        """Make it.

        Args:
            fetch: Returns the bytes from a first position up to one that is left out.
            size: Bytes of the file.
            modified: When it was written last, in seconds since 1970.
        """
        super().__init__()
        self.modified = modified
        self._fetch = fetch
        self._size = size
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, counted from the start, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} lies before the file")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill `buffer` as far as the file goes; return the number of bytes."""
        target = memoryview(buffer).cast("B")
        start = min(self._position, self._size)
        stop = min(start + len(target), self._size)
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
            self._blocks[index] = self._exactly(start, min(start + BLOCK, self._size))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(index)
        return self._blocks[index]

    def _exactly(self, start: int, stop: int) -> bytes:
        content = self._fetch(start, stop)
        if len(content) != stop - start:
            raise OSError(
                None, f"{len(content)} instead of {stop - start} bytes came: the file was replaced"
            )
        return content
