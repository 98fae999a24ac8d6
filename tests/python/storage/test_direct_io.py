"""Bytes on their way to a file: by aligned memory, past the system's cache where it lets us."""

import errno
import fcntl
import os
import random
import threading
import zlib

import numpy as np
import pytest

from kerascheckpoint.formats.base import Target
from kerascheckpoint.formats.keras_file.forms import SnapshotWriter
from kerascheckpoint.storage import direct_io
from kerascheckpoint.storage.direct_io import BLOCK, Stream
from kerascheckpoint.storage.places import storage_for
from support import small_files

pytestmark = pytest.mark.any_backend

LENGTHS = (1, 5000, 0, BLOCK, 3 * BLOCK, 17, 100_000, 2 * BLOCK - 22, 0)


@pytest.fixture
def small_memory(monkeypatch):
    """Let a few thousand bytes go the way that many megabytes go."""
    monkeypatch.setattr(direct_io, "SIZE", 2 * BLOCK)


@pytest.fixture
def pieces():
    """Pieces that begin and end anywhere in blocks and buffers, empty ones among them."""
    return [random.Random(length).randbytes(length) for length in LENGTHS]


@pytest.fixture
def fd(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def write(fd, pieces, offset, shared=None, **settings):
    size = sum(map(len, pieces))
    return (shared or Stream()).write(fd, iter(pieces), offset, size, **settings)


def content(fd):
    return os.pread(fd, 1 << 24, 0)


def is_direct(fd):
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


def lookout(monkeypatch, refuse=lambda fd: None):
    """Return a list that will hold, for each write, whether it went past the cache."""
    write, seen = os.pwrite, []

    def pwrite(fd, data, offset):
        seen.append(is_direct(fd))
        refuse(fd)
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return seen


@pytest.mark.parametrize("size", [BLOCK, 2 * BLOCK, 8 * BLOCK, direct_io.SIZE])
@pytest.mark.parametrize("offset", [0, BLOCK])
def test_all_bytes_arrive_in_order_with_their_checksums(fd, pieces, size, offset, monkeypatch):
    monkeypatch.setattr(direct_io, "SIZE", size)
    sums = write(fd, pieces, offset)
    assert content(fd) == bytes(offset) + b"".join(pieces)
    assert sums == [zlib.crc32(piece) for piece in pieces]


def test_an_interpreter_that_starts_no_threads_writes_the_same(
    fd, pieces, small_memory, monkeypatch
):
    """Python 3.12.0 and 3.12.1 do not at their exit, when the last file may be written."""

    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sums = write(fd, pieces, 0)
    assert content(fd) == b"".join(pieces)
    assert sums == [zlib.crc32(piece) for piece in pieces]


def test_the_memory_serves_one_file_after_the_other(tmp_path, pieces, small_memory):
    shared = Stream()
    for number in range(3):
        with open(tmp_path / str(number), "w+b") as file:
            written = [bytes([number]) * 3, *pieces[number:]]
            write(file.fileno(), written, 0, shared)
            assert file.read() == b"".join(written)


@pytest.mark.parametrize("shift", [0, 1, BLOCK - 8])
def test_bytes_that_lie_as_in_the_file_are_not_copied(fd, pieces, shift, monkeypatch):
    """The copies for background saves are made so: memory and processor are for the training."""
    monkeypatch.setattr(direct_io, "SIZE", 4 * BLOCK)
    monkeypatch.setattr(direct_io, "LARGE", BLOCK)
    copied, copy = [], direct_io._copy
    monkeypatch.setattr(
        direct_io, "_copy", lambda *given: copied.append(len(given[1])) or copy(*given)
    )
    memory = direct_io.aligned_memory(40 * BLOCK)
    memory[:] = random.Random(1).randbytes(40 * BLOCK)
    first = bytes(BLOCK + shift)
    second = memory[shift : 30 * BLOCK + 5]
    sums = write(fd, [first, second, *pieces], 0)
    assert content(fd) == b"".join([first, second, *pieces])
    assert sums == [zlib.crc32(piece) for piece in [first, second, *pieces]]
    assert sum(copied) == len(first) + (-shift % BLOCK) + 5 + sum(LENGTHS)


@pytest.fixture
def direct_disk(fd):
    """Skip a test where files cannot bypass the cache."""
    if not direct_io._set_direct(fd, True):
        pytest.skip("this file system has no direct I/O")
    direct_io._set_direct(fd, False)


def test_whole_blocks_go_past_the_cache(fd, pieces, small_memory, direct_disk, monkeypatch):
    seen = lookout(monkeypatch)
    write(fd, pieces, 0)
    assert seen.count(True) > len(b"".join(pieces)) // (2 * BLOCK)
    assert not seen[-1], "the rest is no whole block"
    assert not is_direct(fd), "later writes are not of whole blocks"


@pytest.mark.parametrize(("url", "bypasses"), [("memory://run/a.keras", False), ("", True)])
def test_a_file_to_be_uploaded_stays_in_the_cache_to_be_read_from_there(
    url, bypasses, small_memory, direct_disk, tmp_path, monkeypatch
):
    path = url or str(tmp_path / "a.keras")
    content = small_files.content_of({"layers/a/vars/0": np.zeros(8 * BLOCK, "u1")}, model=True)
    storage = storage_for(path, {"staging_directory": tmp_path} if url else None)
    seen = lookout(monkeypatch)
    SnapshotWriter().save(Target(path, storage), content, small_files.FIELDS)
    assert (True in seen) is bypasses


def test_what_fits_into_the_memory_goes_through_the_cache(fd, pieces, monkeypatch):
    seen = lookout(monkeypatch)
    write(fd, pieces, 0)
    assert seen == [False]


def test_a_disk_that_wants_larger_blocks_gets_the_bytes_through_the_cache(
    fd, pieces, small_memory, monkeypatch
):
    def refuse(fd):
        if is_direct(fd):
            raise OSError(errno.EINVAL, "Invalid argument")

    seen = lookout(monkeypatch, refuse)
    write(fd, pieces, 0)
    assert seen.count(False) > 1
    assert content(fd) == b"".join(pieces)


def test_a_refused_write_raises_and_leaves_no_thread_behind(tmp_path, pieces, small_memory):
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    before = threading.active_count()
    with pytest.raises(OSError, match="Bad file descriptor"):
        write(fd, pieces, 0)
    os.close(fd)
    assert threading.active_count() == before


def test_memory_that_is_used_again_is_copied_before_the_next_piece_is_asked_for(
    fd, small_memory, monkeypatch
):
    """What comes from a device passes through memory that the next piece needs."""
    monkeypatch.setattr(direct_io, "LARGE", BLOCK)
    memory = direct_io.aligned_memory(4 * BLOCK)

    def pieces():
        for number in range(9):
            memory[:] = bytes([number]) * len(memory)
            yield memory

    sums = Stream().write(fd, pieces(), 0, 9 * len(memory), is_lasting=False)
    expected = [bytes([number]) * len(memory) for number in range(9)]
    assert content(fd) == b"".join(expected)
    assert sums == [zlib.crc32(piece) for piece in expected]


def test_an_error_in_the_pieces_is_raised_and_leaves_no_thread_behind(fd, pieces, small_memory):
    def failing():
        yield from pieces
        raise MemoryError("no room on the host")

    before = threading.active_count()
    with pytest.raises(MemoryError, match="no room on the host"):
        Stream().write(fd, failing(), 0, 1 << 20)
    assert threading.active_count() == before


def test_a_write_that_writes_nothing_is_an_error_and_no_endless_loop(monkeypatch, tmp_path):
    """Some network file systems answer so when they are full."""
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)
    with open(tmp_path / "file", "wb") as file, pytest.raises(OSError, match="wrote nothing"):
        direct_io.write_all(file.fileno(), b"bytes", 0)
