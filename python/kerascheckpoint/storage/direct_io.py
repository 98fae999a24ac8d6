"""Write a run of bytes to a file, past the system's cache where there is a way (direct I/O).

A write through the cache costs the processor a copy of every byte and a search for free memory,
which the training beside it has to share. Direct I/O takes whole blocks from aligned memory. Bytes
that do not lie so go there first, one piece of memory being filled, and checksums computed, while
the disk takes the other.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
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
LARGE = 1 << 20  # bytes from which on it matters how they are copied, and whether at all
_CACHED = 1 << 18  # bytes at a time that are still in the processor's cache for their checksum
_SMALL = 1 << 16  # bytes up to which a copy is quicker than to let other threads run meanwhile

_Filled = tuple[memoryview, memoryview | None]  # what to write, and the buffer that is free then


class Stream:
    """The memory through which bytes go to one file after the other."""

    def __init__(self) -> None:
        self._buffers: list[memoryview] = []

    def write(
        self,
        fd: int,
        pieces: Iterable[Any],
        offset: int,
        size: int,
        *,
        is_lasting: bool = True,
    ) -> list[int]:
        """Write adjoining pieces of bytes, and return the CRC-32 of each.

        Args:
            fd: File descriptor of the file.
            pieces: Bytes-like objects, asked for one after the other by a thread of its own.
            offset: Where the first one goes, a multiple of `BLOCK`.
            size: Bytes of all pieces.
            is_lasting: Whether a piece stays as it is when the next one is asked for; if not, all
                pass through the memory of this object.

        Raises:
            OSError: If the system refuses.
            Exception: What `pieces` raises.
        """
        self._buffers = self._buffers or [aligned_memory(SIZE), aligned_memory(SIZE)]
        empty: SimpleQueue[memoryview | None] = SimpleQueue()
        full: SimpleQueue[_Filled | None] = SimpleQueue()
        for buffer in self._buffers:
            empty.put(buffer)
        sums: list[int] = []
        made_ready = _write_chunks(pieces, offset, sums, empty, is_lasting)
        failures: list[BaseException] = []

        def fill() -> None:
            try:
                for filled in made_ready:
                    full.put(filled)
            except BaseException as error:
                failures.append(error)
            finally:
                full.put(None)

        filler = threading.Thread(target=fill, daemon=True)
        try:
            filler.start()
            if size > SIZE:
                _set_direct(fd, True)
            while filled := full.get():
                data, freed = filled
                write_all(fd, data, offset)
                offset += len(data)
                if freed:
                    empty.put(freed)
        finally:
            empty.put(None)
            if filler.ident is not None:
                filler.join()
            _set_direct(fd, False)
        if failures:
            raise failures[0]
        return sums


def write_all(fd: int, data: Any, offset: int) -> None:
    """Write bytes at `offset`; what direct I/O refuses goes through the system's cache."""
    left = memoryview(data)
    while left:
        try:
            written = os.pwrite(fd, left, offset)
        except OSError:
            if not _set_direct(fd, False):
                raise
        else:
            if written == 0:  # to try again would never end
                raise OSError(errno.EIO, "The system wrote nothing and gave no reason")
            left, offset = left[written:], offset + written


def aligned_memory(size: int) -> memoryview:
    """Return so many bytes of memory that begin where direct I/O wants them to."""
    memory = np.empty(size + BLOCK, np.uint8)
    start = -memory.ctypes.data % BLOCK
    return memory.data[start : start + size]


def _write_chunks(
    pieces: Iterable[Any],
    offset: int,
    sums: list[int],
    empty: "SimpleQueue[memoryview | None]",
    is_lasting: bool,
) -> Iterator[_Filled]:
    """Yield the bytes of `pieces` as they can be written, and put their checksums into `sums`.

    A `None` instead of an empty buffer ends it.
    """
    buffer, used = empty.get(), 0
    for piece in pieces:
        total = 0
        for part, is_ready in _parts(memoryview(piece), offset, is_lasting):
            if is_ready and buffer:
                if used:
                    yield buffer[:used], buffer
                    buffer, used = empty.get(), 0
                total = crc32(part, total)
                yield part, None
            while part and buffer and not is_ready:
                count = min(len(part), len(buffer) - used)
                _copy(buffer[used : used + count], part[:count])
                total = crc32(buffer[used : used + count], total)
                part, used = part[count:], used + count
                if used == len(buffer):
                    yield buffer, buffer
                    buffer, used = empty.get(), 0
        offset += len(piece)
        sums.append(total)
    if buffer and used:
        yield buffer[:used], buffer


def _parts(data: memoryview, offset: int, is_lasting: bool) -> Iterator[tuple[memoryview, bool]]:
    """Cut bytes for `offset`, and tell of each part whether it can be written from where it lies.

    What has to be copied comes in parts that are still in the processor's cache for the checksum.
    """
    begin = end = 0
    is_large = is_lasting and len(data) >= LARGE
    if is_large and np.asarray(data).ctypes.data % BLOCK == offset % BLOCK:
        begin = -offset % BLOCK
        end = len(data) - (offset + len(data)) % BLOCK
    for first, last, step, is_ready in (
        (0, begin, _CACHED, False),
        (begin, end, SIZE, True),
        (end, len(data), _CACHED, False),
    ):
        for start in range(first, last, step):
            yield data[start : min(start + step, last)], is_ready


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
