"""Read checkpoint files without Keras and without trust: whatever is wrong becomes one error.

Nothing here allocates memory by a size that a file claims without comparing it with the file.
"""

import contextlib
import dataclasses
import io
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, BinaryIO

import h5py
import numpy as np

from . import record
from .archive import METADATA, WEIGHTS
from .checkpoint_info import CheckpointInfo
from .errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
)
from .file_template import MODEL_SUFFIX, WEIGHTS_SUFFIX

TEXT_LIMIT = 1 << 28  # bytes of the largest metadata.json that is taken for one
_RECORD_WITHIN = 1 << 16  # bytes from the start in which our layout begins the record
_DEPTH_LIMIT = 200  # of nested groups


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file: its name, shape, dtype and the place of its bytes in the weights."""

    name: str
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    offset: int
    nbytes: int


class Region(io.RawIOBase):
    """A part of an open file as a file of its own: the weights, wherever they lie."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._start, self.size = file, start, size
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


@contextlib.contextmanager
def reporting(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names the file."""
    try:
        yield
    except CheckpointSchemaError as error:
        raise CheckpointSchemaError(f"cannot read {path!r}: {error}") from None
    except CheckpointCorruptError as error:
        raise CheckpointCorruptError(f"{path!r} is damaged: {error}") from None
    except CheckpointError:
        raise
    except zipfile.BadZipFile as error:
        raise CheckpointCorruptError(f"{path!r} is damaged or no zip file: {error}") from error
    except Exception as error:
        text = str(error) or type(error).__name__
        raise CheckpointCorruptError(f"{path!r} is damaged or no checkpoint: {text}") from error


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a checkpoint's file, once for all that is to be read: a run may replace it meanwhile.

    Raises:
        CheckpointNotFoundError: If there is no file at `path`.
        CheckpointCorruptError: If it is a directory or device.
        PermissionError: If it may not be read.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}") from None
    if not stat.S_ISREG(mode):
        raise CheckpointCorruptError(f"{path!r} is not a regular file")
    with open(path, "rb", buffering=0) as file:
        yield file


def read_info(path: str) -> CheckpointInfo:
    """Return what the file at `path` says of itself; its arrays are not read.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If it is not a readable checkpoint.
        CheckpointSchemaError: If its record is newer than this version reads.
    """
    with opened(path) as file:
        return read(file, path)[0]


def read_record(path: str) -> dict[str, Any] | None:
    """Return all fields of the file's record, or `None` for a stock Keras file."""
    with opened(path) as file:
        return read(file, path)[1]


def read(file: BinaryIO, path: str) -> tuple[CheckpointInfo, dict[str, Any] | None]:
    """Return what an open file says of itself, and all fields of its record if it has one."""
    with reporting(path):
        fields, keras_version = _read_fields(file, path)
        return _info(path, file, fields, keras_version), fields


def _read_fields(file: BinaryIO, path: str) -> tuple[dict[str, Any] | None, str | None]:
    if path.endswith(MODEL_SUFFIX):
        with zipfile.ZipFile(file) as archive:
            metadata = read_metadata(archive)
            stored_member(archive, WEIGHTS)
        found = metadata.get(record.KEY)
        version = metadata.get("keras_version")
        fields = None if found is None else record.decode(found)
        return fields, version if isinstance(version, str) else None
    with h5py.File(Region(file, 0, os.fstat(file.fileno()).st_size), "r") as h5_file:
        if not path.endswith(WEIGHTS_SUFFIX) and "model_weights" not in h5_file:
            raise CheckpointCorruptError("it holds no Keras model")
        text = h5_file.attrs.get(record.KEY)
        if text is None and _has_lost_record(file):
            raise CheckpointCorruptError("its record is there and cannot be reached")
        version = h5_file.attrs.get("keras_version")
    fields = None if text is None else record.decode(_parsed(text))
    return fields, version if isinstance(version, str) else None


def _has_lost_record(file: BinaryIO) -> bool:
    """Tell whether a file that looks like a stock one has a whole record of ours, but cut off.

    Stray pieces of one do not count: HDF5 may write what its memory held before into its gaps.
    """
    file.seek(0)
    place = file.read(_RECORD_WITHIN).find(record.BEGIN)
    if place < 0:
        return False
    file.seek(place)
    text = file.read(TEXT_LIMIT).decode(errors="replace")
    try:
        found = record.decode(json.JSONDecoder().raw_decode(text)[0])
        return int(found["image"]["record_offset"]) == place
    except (CheckpointError, KeyError, TypeError, ValueError, RecursionError):
        return False


def _info(
    path: str, file: BinaryIO, fields: dict[str, Any] | None, keras_version: str | None
) -> CheckpointInfo:
    status = os.fstat(file.fileno())
    weights_only = path.endswith(WEIGHTS_SUFFIX)
    if fields is not None:
        return CheckpointInfo.from_record(
            fields, path=path, size=status.st_size, weights_only=weights_only
        )
    nothing = dict.fromkeys(
        ("epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "backend")
    )
    return CheckpointInfo(
        path=path,
        metrics={},
        saved_at=datetime.fromtimestamp(status.st_mtime, timezone.utc),
        size=status.st_size,
        weights_only=weights_only,
        keras_version=keras_version,
        schema=None,
        **nothing,
    )


def read_metadata(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the content of a `.keras` file's `metadata.json`."""
    member = stored_member(archive, METADATA)
    if member.file_size > TEXT_LIMIT:
        raise CheckpointCorruptError(f"{METADATA} claims {member.file_size} bytes")
    metadata = _parsed(archive.read(member))
    if not isinstance(metadata, dict):
        raise CheckpointCorruptError(f"{METADATA} is no JSON object")
    return metadata


def stored_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return a member that must be there, stored as it is."""
    try:
        member = archive.getinfo(name)
    except KeyError:
        raise CheckpointCorruptError(f"its member {name} is missing") from None
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise CheckpointCorruptError(f"its member {name} is compressed, which no Keras writes")
    return member


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"its record is no JSON ({error})") from None


@contextlib.contextmanager
def weights_of(file: BinaryIO, path: str) -> Iterator[tuple[Region, h5py.File]]:
    """Open the weights of a `.keras` or `.weights.h5` file: their bytes and their structure."""
    if path.endswith(MODEL_SUFFIX):
        with zipfile.ZipFile(file) as archive:
            member = stored_member(archive, WEIGHTS)
            archive.open(member).close()  # compares the member's own header with the directory
        file.seek(member.header_offset)
        header = file.read(30)
        start = member.header_offset + 30
        start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        region = Region(file, start, member.file_size)
    else:
        region = Region(file, 0, os.fstat(file.fileno()).st_size)
    with h5py.File(region, "r") as h5_file:
        yield region, h5_file


def stored_arrays(region: Region, h5_file: h5py.File) -> list[StoredArray]:
    """Return every array of a weights file, in the order of their bytes.

    Raises:
        CheckpointCorruptError: If one is not stored as plain bytes inside the file.
    """
    arrays = list(_arrays_below(h5_file, "", 0))
    for array in arrays:
        if array.nbytes and not 0 <= array.offset <= region.size - array.nbytes:
            raise CheckpointCorruptError(f"array {array.name!r} lies outside of the file")
    return sorted(arrays, key=lambda array: array.offset)


def _arrays_below(group: h5py.Group, path: str, depth: int) -> Iterator[StoredArray]:
    if depth > _DEPTH_LIMIT:
        raise CheckpointCorruptError("its groups are nested too deeply")
    for name in group:
        where = f"{path}{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise CheckpointCorruptError(f"{where!r} is a link to another place")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _arrays_below(item, f"{where}/", depth + 1)
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
