"""The weights inside a checkpoint: their bytes as a file of their own, and each array's place."""

import dataclasses
import io
import os
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py
import numpy as np

from ...errors import CheckpointCorruptError
from ...file_kind import MODEL_SUFFIX
from ...storage.checksum import crc32
from .hdf5_layout import BLANK
from .writer import WEIGHTS

_CHUNK = 8 << 20  # bytes read at once
_DEPTH_LIMIT = 200  # of nested groups


class ForeignFileError(CheckpointCorruptError):
    """A sound file, and somebody else's."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file: its name, shape, dtype and the place of its bytes in the weights."""

    name: str
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    offset: int
    nbytes: int


class FileSlice(io.RawIOBase):
    """A part of an open file as a file of its own: the weights, wherever they lie."""

    def __init__(self, file: BinaryIO, start: int, size: int, crc: int | None = None) -> None:
        super().__init__()
        self._file, self._start, self.size = file, start, size
        self.crc = crc  # what a zip says of these bytes
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position from the region's start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move within the region."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read on from the position, never beyond the region's end."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._position))
        self._file.seek(self._start + self._position)
        done = self._file.readinto(view[:count])  # type: ignore[attr-defined]
        self._position += done
        return int(done)


def stored_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return a member that must be there, stored as it is."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise CheckpointCorruptError(f"its member {name} is missing") from None
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise CheckpointCorruptError(f"its member {name} is compressed, which no Keras writes")
    return member


def region_of(file: BinaryIO, path: str) -> FileSlice:
    """Return the bytes of the weights in an open `.keras` or `.weights.h5` file."""
    if not path.endswith(MODEL_SUFFIX):
        return FileSlice(file, 0, os.fstat(file.fileno()).st_size)
    with zipfile.ZipFile(file) as archive:
        member = stored_member(archive, WEIGHTS)
        archive.open(member).close()  # compares the member's own header with the directory
    file.seek(member.header_offset)
    header = file.read(30)
    start = member.header_offset + 30
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return FileSlice(file, start, member.file_size, member.CRC)


def checksum_of(
    region: FileSlice, start: int, end: int, total: int = 0, blank: tuple[int, int] = (0, 0)
) -> int:
    """Return the CRC-32 of a part of the weights, continued from `total`.

    A slot that lies in it (the record's, as start and end) counts as blanks.
    """
    if start <= blank[0] < blank[1] <= end:
        total = checksum_of(region, start, blank[0], total)
        for done in range(blank[0], blank[1], _CHUNK):
            total = crc32(BLANK * min(_CHUNK, blank[1] - done), total)
        start = blank[1]
    region.seek(start)
    while start < end:
        piece = region.read(min(end - start, _CHUNK))
        if not piece:
            raise CheckpointCorruptError("the file ends too early")
        total = crc32(piece, total)
        start += len(piece)
    return total


def stored_arrays(region: FileSlice) -> list[StoredArray]:
    """Return every array in the weights, in the order of their bytes, as HDF5 finds them.

    Raises:
        CheckpointCorruptError: If one is not stored as plain bytes inside the file.
    """
    with h5py.File(region, "r") as h5_file:
        arrays = list(_arrays_below(h5_file, "", 0, set()))
    for array in arrays:
        if array.nbytes and not 0 <= array.offset <= region.size - array.nbytes:
            raise CheckpointCorruptError(f"array {array.name!r} lies outside of the file")
    return sorted(arrays, key=lambda array: array.offset)


def _arrays_below(
    group: h5py.Group, path: str, depth: int, seen: set[int]
) -> Iterator[StoredArray]:
    if depth > _DEPTH_LIMIT:
        raise CheckpointCorruptError("its groups are nested too deeply")
    for name in group:
        where = f"{path}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise CheckpointCorruptError(f"{where!r} is a link to another place")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:  # from two groups with two links each there are four ways, and so on
            raise CheckpointCorruptError(f"{where!r} is another name of what stands elsewhere")
        seen.add(address)
        if isinstance(item, h5py.Group):
            yield from _arrays_below(item, f"{where}/", depth + 1, seen)
        elif isinstance(item, h5py.Dataset):
            yield _stored_array(where, item)
        else:
            raise CheckpointCorruptError(f"{where!r} is neither a group nor an array")


def _stored_array(name: str, dataset: h5py.Dataset) -> StoredArray:
    nbytes = int(dataset.size or 0) * dataset.dtype.itemsize
    offset = dataset.id.get_offset()
    if nbytes and (offset is None or dataset.chunks is not None or dataset.external):
        raise CheckpointCorruptError(f"array {name!r} is not stored as plain bytes")
    return StoredArray(name, dataset.shape or (), dataset.dtype, offset or 0, nbytes)


def check_form(h5_file: h5py.File, *, legacy: bool) -> None:
    """Raise a CheckpointCorruptError unless a file has the form that Keras writes.

    That is: arrays lie in groups called `vars`; a legacy model has its weights in one group.
    """
    if legacy:
        link = h5_file.get("model_weights", getlink=True)
        if not isinstance(link, h5py.HardLink) or not isinstance(
            h5_file["model_weights"], h5py.Group
        ):
            raise ForeignFileError("it holds no Keras model")
        return
    first = next(_arrays_below(h5_file, "", 0, set()), None)
    if first is None and "vars" not in h5_file and "layers" not in h5_file:
        raise CheckpointCorruptError("it holds no weights of a Keras model")
    if first is not None and "vars" not in first.name.split("/")[:-1]:
        raise CheckpointCorruptError(f"its array {first.name!r} is not where Keras stores any")
