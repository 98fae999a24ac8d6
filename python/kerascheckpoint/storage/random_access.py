"""The common part of read-only files of a known size."""

import io


class RandomAccessFile(io.RawIOBase):
    """A file that can be read at any position; subclasses add `readinto`.

    Attributes:
        size: Number of bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position relative to the start, the current position or the end."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"position {origin + offset} lies before the file")
        self._position = origin + offset
        return self._position
