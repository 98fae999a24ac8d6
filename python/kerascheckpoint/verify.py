"""Check a checkpoint: structure, sizes and every byte against the checksums of its record."""

import os
import zipfile
from typing import Any, BinaryIO

from . import reader, weights
from .archive import WEIGHTS
from .checkpoint_info import CheckpointInfo
from .checksum import combine, crc32
from .errors import CheckpointCorruptError
from .file_template import MODEL_SUFFIX, WEIGHTS_SUFFIX
from .h5_layout import BLANK
from .weights import Region, StoredArray

_CHUNK = 8 << 20  # bytes read at once


def verify_checkpoint(path: "str | os.PathLike[str]") -> CheckpointInfo:
    """Read a checkpoint as a whole and compare it with its record.

    Args:
        path: A `.keras`, `.weights.h5` or legacy `.h5` file.

    Returns:
        What the file says of itself. A stock Keras file has no checksums of its arrays: for it,
        structure and sizes (and a zip's own checksums) are all that can be checked.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If anything is wrong; the text says what.
        CheckpointSchemaError: If a newer version of this package wrote it.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    with reader.opened(path) as file:
        return verify_open(file, path)[0]


def verify_open(file: BinaryIO, path: str) -> tuple[CheckpointInfo, dict[str, Any] | None]:
    """Verify an open file; return what it says of itself, and its record if it has one."""
    info, fields = reader.read(file, path)
    with reader.reporting(path):
        if path.endswith(MODEL_SUFFIX):
            _check_members(file)
        if path.endswith((MODEL_SUFFIX, WEIGHTS_SUFFIX)):
            _check_weights(file, path, fields)
    return info, fields


def checksums(file: BinaryIO, path: str) -> dict[str, int]:
    """Return the checksum of each array in a file."""
    with weights.weights_of(file, path) as (region, h5_file):
        arrays = weights.stored_arrays(region, h5_file)
    return _checksums(region, arrays, None)[0]


def _check_members(file: BinaryIO) -> None:
    """Read each member but the weights against the zip's own checksum."""
    with zipfile.ZipFile(file) as archive:
        weights.stored_member(archive, "config.json")
        for member in archive.infolist():
            weights.stored_member(archive, member.filename)
            if member.filename != WEIGHTS:
                with archive.open(member) as content:
                    while content.read(_CHUNK):
                        pass


def _check_weights(file: BinaryIO, path: str, fields: dict[str, Any] | None) -> None:
    with weights.weights_of(file, path) as (region, h5_file):
        arrays = weights.stored_arrays(region, h5_file)
        slot = _record_slot(h5_file, fields, path)
    sums, total = _checksums(region, arrays, slot)
    if fields is not None:
        _compare_arrays(sums, fields.get("arrays", {}))
        expected = fields.get("image", {}).get("crc32")
        if expected is not None and expected != f"{total:08x}":
            raise CheckpointCorruptError("the structure around its arrays is damaged")
    if path.endswith(MODEL_SUFFIX):
        with zipfile.ZipFile(file) as archive:
            if total != archive.getinfo(WEIGHTS).CRC:
                raise CheckpointCorruptError(f"its member {WEIGHTS} is damaged (checksum differs)")


def _record_slot(h5_file: Any, fields: dict[str, Any] | None, path: str) -> tuple[int, int] | None:
    """Return where the record lies in a `.weights.h5`, as (start, end); it guards itself."""
    if fields is None or not path.endswith(WEIGHTS_SUFFIX) or "image" not in fields:
        return None
    start = int(fields["image"]["record_offset"])
    return start, start + len(h5_file.attrs["kerascheckpoint"].encode())


def _compare_arrays(found: dict[str, int], expected: dict[str, str]) -> None:
    missing = sorted(set(expected) - set(found))
    if missing:
        raise CheckpointCorruptError(f"array {missing[0]!r} is missing")
    extra = sorted(set(found) - set(expected))
    if extra:
        raise CheckpointCorruptError(f"array {extra[0]!r} is not one that was saved")
    for name, value in found.items():
        if expected[name] != f"{value:08x}":
            raise CheckpointCorruptError(f"array {name!r} is damaged (checksum differs)")


def _checksums(
    region: Region, arrays: list[StoredArray], slot: tuple[int, int] | None
) -> tuple[dict[str, int], int]:
    """Return the checksum of each array, and that of the whole region with the record blank."""
    sums = {array.name: 0 for array in arrays}
    total = position = 0
    for array in arrays:
        if not array.nbytes:
            continue
        if array.offset < position:
            raise CheckpointCorruptError(f"array {array.name!r} overlaps another")
        total = _skeleton_checksum(region, position, array.offset, slot, total)
        sums[array.name] = _bytes_checksum(region, array.offset, array.nbytes, 0)
        total = combine(total, sums[array.name], array.nbytes)
        position = array.offset + array.nbytes
    return sums, _skeleton_checksum(region, position, region.size, slot, total)


def _skeleton_checksum(
    region: Region, start: int, end: int, slot: tuple[int, int] | None, total: int
) -> int:
    if slot is None or not start <= slot[0] <= slot[1] <= end:
        return _bytes_checksum(region, start, end - start, total)
    total = _bytes_checksum(region, start, slot[0] - start, total)
    total = crc32(BLANK * (slot[1] - slot[0]), total)
    return _bytes_checksum(region, slot[1], end - slot[1], total)


def _bytes_checksum(region: Region, start: int, length: int, total: int) -> int:
    region.seek(start)
    while length:
        piece = region.read(min(length, _CHUNK))
        if not piece:
            raise CheckpointCorruptError("the file ends too early")
        total = crc32(piece, total)
        length -= len(piece)
    return total
