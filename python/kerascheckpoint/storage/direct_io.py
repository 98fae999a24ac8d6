"""Write bytes to a file, bypassing the system's cache where possible (direct I/O).

A write through the cache copies every byte and searches for free memory, which takes processor time
from training. Direct I/O writes whole blocks from aligned memory. Other bytes are copied into one
of two aligned buffers first: one is filled and checksummed while the disk writes the other.
"""

import contextlib
import errno
import mmap
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

BLOCK = 4096  # bytes; direct I/O needs multiples of it as address, offset and length
SIZE = 8 << 20  # bytes per buffer; files that fit into one go through the cache
LARGE = 1 << 20  # bytes; larger arrays are written without a copy if possible
_CACHED = 1 << 18  # bytes copied at a time, which are in the CPU's cache for the checksum
_SMALL = 1 << 16  # bytes; smaller copies do not release the interpreter's lock

_Filled = tuple[memoryview, memoryview | None]  # what to write, and the buffer that this frees


class Stream:
    """Writes files one after the other through the same two buffers."""

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
        bypass_cache: bool = True,
    ) -> list[int]:
        """Write pieces of bytes one after the other, and return the CRC-32 of each.

        Args:
            fd: File descriptor.
            pieces: Bytes-like objects; another thread iterates over them.
            offset: Where the first piece goes, a multiple of `BLOCK`.
            size: Total size in bytes.
            is_lasting: Whether a piece stays valid when the next one is read; if not, every piece
                is copied.
            bypass_cache: Whether to use direct I/O where possible. A file that is read at once is
                better kept in the cache.

        Raises:
            OSError: If the system cannot write.
            Exception: Whatever `pieces` raises.
        """
        self._buffers = self._buffers or [aligned_memory(SIZE), aligned_memory(SIZE)]
        sums: list[int] = []
        try:
            with _read_ahead(pieces, offset, sums, self._buffers, is_lasting) as chunks:
                if bypass_cache and size > SIZE:
                    _set_direct(fd, True)
                for chunk in chunks:
                    write_all(fd, chunk, offset)
                    offset += len(chunk)
        finally:
            _set_direct(fd, False)
        return sums


@contextlib.contextmanager
def _read_ahead(
    pieces: Iterable[Any],
    offset: int,
    sums: list[int],
    buffers: Iterable[memoryview],
    is_lasting: bool,
) -> Iterator[Iterator[memoryview]]:
    """Yield an iterator over the chunks of `pieces`, which a thread reads one chunk ahead.

    The arguments are those of `_chunks`. An error in the thread is raised at the end of the block.
    """
    empty: SimpleQueue[memoryview | None] = SimpleQueue()
    full: SimpleQueue[_Filled | None] = SimpleQueue()
    for buffer in buffers:
        empty.put(buffer)

    def chunks(filled: Iterable[_Filled]) -> Iterator[memoryview]:
        for data, freed in filled:
            yield data
            if freed:
                empty.put(freed)

    failures: list[BaseException] = []
    filling = _chunks(pieces, offset, sums, empty, is_lasting)
    filler = threading.Thread(target=_fill, args=(filling, full, failures), daemon=True)
    try:
        try:
            filler.start()
        except RuntimeError:  # Python 3.12.0 and 3.12.1 start no thread at their exit
            yield chunks(filling)
        else:
            yield chunks(iter(full.get, None))
    finally:
        empty.put(None)
        if filler.ident is not None:
            filler.join()
    if failures:
        raise failures[0]


def _fill(
    chunks: Iterable[_Filled], full: "SimpleQueue[_Filled | None]", failures: list[BaseException]
) -> None:
    """Put all chunks into a queue, then `None`; runs in its own thread."""
    try:
        for filled in chunks:
            full.put(filled)
    except BaseException as error:
        failures.append(error)
    finally:
        full.put(None)


def write_all(fd: int, data: Any, offset: int) -> None:
    """Write bytes at `offset`; if direct I/O fails, go through the system's cache."""
    left = memoryview(data)
    while left:
        try:
            written = os.pwrite(fd, left, offset)
        except OSError:
            if not _set_direct(fd, False):
                raise
        else:
            if written == 0:  # a retry might never end
                raise OSError(errno.EIO, "The system wrote nothing and gave no reason")
            left, offset = left[written:], offset + written


def aligned_memory(size: int) -> memoryview:
    """Return `size` bytes of memory that are aligned for direct I/O.

    NumPy asks Linux for huge pages. To provide them, the system has to move other memory, so the
    first use of a gigabyte takes five times longer than with pages of normal size.
    """
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name == "posix" else {}
    return memoryview(mmap.mmap(-1, max(size, 1), **private))[:size]


def _chunks(
    pieces: Iterable[Any],
    offset: int,
    sums: list[int],
    empty: "SimpleQueue[memoryview | None]",
    is_lasting: bool,
) -> Iterator[_Filled]:
    """Yield the bytes of `pieces` in chunks to write, and append their checksums to `sums`.

    `None` in place of an empty buffer stops it.
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
    """Cut bytes that go to `offset` into parts, each with whether it can be written without a copy.

    Parts to be copied are small, so that they are still in the CPU's cache for the checksum.
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
    """Turn direct I/O on or off; return whether that changed anything."""
    if fcntl is None or not hasattr(os, "O_DIRECT"):
        return False
    before = fcntl.fcntl(fd, fcntl.F_GETFL)
    after = before | os.O_DIRECT if on else before & ~os.O_DIRECT
    try:
        if after != before:
            fcntl.fcntl(fd, fcntl.F_SETFL, after)
    except OSError:  # the file system does not support it
        return False
    return after != before
