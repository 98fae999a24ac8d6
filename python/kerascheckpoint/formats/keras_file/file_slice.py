"""A part of an open file, such as the weights in a zip, as a file of its own."""

import io
from typing import Any, BinaryIO

from ...errors import CheckpointCorruptError
from ...storage.checksum import crc32
from ...storage.random_access import RandomAccessFile
from .hdf5_layout import BLANK

CHUNK = 8 << 20  # bytes read at once


class FileSlice(RandomAccessFile):
    """A range of bytes of an open file.

    Attributes:
        start: Position of the first byte in the file.
        size: Number of bytes.
        crc: Their CRC-32 according to the zip file, if they are a member of one.
    """

    def __init__(self, file: BinaryIO, start: int, size: int, crc: int | None = None) -> None:
        super().__init__(size)
        self._file, self.start, self.crc = file, start, crc

    @classmethod
    def whole(cls, file: BinaryIO) -> "FileSlice":
        """Return all of a file."""
        return cls(file, 0, file.seek(0, io.SEEK_END))

    def readinto(self, buffer: Any) -> int:
        """Read from the position, at most up to the end of the slice."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._position))
        self._file.seek(self.start + self._position)
        done = self._file.readinto(view[:count])  # type: ignore[attr-defined]
        self._position += done
        return int(done)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes at `offset`, fewer at the end of the slice."""
        parts = []
        self.seek(offset)
        while count > 0:
            part = self.read(min(count, CHUNK))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def checksum(
        self, start: int, end: int, total: int = 0, blank: tuple[int, int] = (0, 0)
    ) -> int:
        """Return the CRC-32 of the bytes from `start` to `end`, continued from `total`.

        The bytes of the range `blank` (start, end) count as blanks if it lies in between.

        Raises:
            CheckpointCorruptError: If the file ends before `end`.
        """
        if not 0 <= start <= end <= self.size:
            raise CheckpointCorruptError("the file ends too early")
        if start <= blank[0] < blank[1] <= end:
            total = self.checksum(start, blank[0], total)
            for done in range(blank[0], blank[1], CHUNK):
                total = crc32(BLANK * min(CHUNK, blank[1] - done), total)
            start = blank[1]
        self.seek(start)
        while start < end:
            piece = self.read(min(end - start, CHUNK))
            if not piece:
                raise CheckpointCorruptError("the file ends too early")
            total = crc32(piece, total)
            start += len(piece)
        return total
