"""Write a run of bytes to a file, past the system's cache where there is a way (direct I/O).

A write through the cache costs the processor a copy of every byte and a search for free memory,
which the training beside it has to share. Direct I/O takes whole blocks from aligned memory: the
bytes go there first, one piece of memory being filled, and checksums computed, while the disk takes
the other.
"""

import errno
import os
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from .checksum import crc32

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

BLOCK = 4096  # bytes; direct I/O wants multiples of it as address, offset and length
SIZE = 8 << 20  # bytes of each piece of memory; what fits into one goes through the cache
_SMALL = 1 << 16  # bytes up to which a copy is quicker than to let other threads run meanwhile


class Stream:
    """The memory through which bytes go to one file after the other."""

    def __init__(self) -> None:
        self._buffers: list[memoryview] = []

    def write(self, fd: int, pieces: Sequence[Any], offset: int) -> list[int]:
        """Write adjoining pieces of bytes, and return the CRC-32 of each.

        Args:
            fd: File descriptor of a file without bytes from `offset` on.
            pieces: Bytes-like objects.
            offset: Where the first one goes, a multiple of `BLOCK`.

        Raises:
            OSError: If the system refuses.
        """
        self._buffers = self._buffers or [_aligned_memory(), _aligned_memory()]
        empty: SimpleQueue[memoryview | None] = SimpleQueue()
        full: SimpleQueue[memoryview | None] = SimpleQueue()
        for buffer in self._buffers:
            empty.put(buffer)
        sums: list[int] = []
        filler = threading.Thread(target=_fill, args=(pieces, sums, empty, full))
        filler.start()
        try:
            if sum(map(len, pieces)) > SIZE:
                _set_direct(fd, True)
            while filled := full.get():
                write_all(fd, filled, offset)
                offset += len(filled)
                empty.put(filled)
        finally:
            empty.put(None)
            filler.join()
            _set_direct(fd, False)
        return sums


def write_all(fd: int, data: Any, offset: int) -> None:
    """Write bytes at `offset`; through the system's cache if direct I/O cannot take them."""
    left = memoryview(data)
    while left:
        try:
            written = os.pwrite(fd, left, offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not _set_direct(fd, False):
                raise
        else:
            left, offset = left[written:], offset + written


def _aligned_memory() -> memoryview:
    memory = np.empty(SIZE + BLOCK, np.uint8)
    start = -memory.ctypes.data % BLOCK
    return memory.data[start : start + SIZE]


def _fill(
    pieces: Sequence[Any],
    sums: list[int],
    empty: "SimpleQueue[memoryview | None]",
    full: "SimpleQueue[memoryview | None]",
) -> None:
    """Put the bytes of `pieces` into one buffer after the other, and their checksums into `sums`.

    A `None` instead of a buffer ends it, and is its own last word.
    """
    buffer, used = empty.get(), 0
    for piece in pieces:
        data: memoryview = memoryview(piece)
        done, total = 0, 0
        while buffer and done < len(data):
            count = min(len(data) - done, len(buffer) - used)
            part = buffer[used : used + count]
            _copy(part, data[done : done + count])
            total = crc32(part, total)
            done, used = done + count, used + count
            if used == len(buffer):
                full.put(buffer)
                buffer, used = empty.get(), 0
        sums.append(total)
    if buffer and used:
        full.put(buffer[:used])
    full.put(None)


def _copy(target: memoryview, source: memoryview) -> None:
    if len(source) <= _SMALL:
        target[:] = source
    else:
        np.copyto(np.asarray(target), np.asarray(source))


def _set_direct(fd: int, on: bool) -> bool:
    """Turn direct I/O on or off; tell whether that changed anything."""
    if fcntl is None or not hasattr(os, "O_DIRECT"):
        return False
    before = fcntl.fcntl(fd, fcntl.F_GETFL)
    after = before | os.O_DIRECT if on else before & ~os.O_DIRECT
    try:
        if after != before:
            fcntl.fcntl(fd, fcntl.F_SETFL, after)
    except OSError:  # not in this file system
        return False
    return after != before
