"""Check a checkpoint: structure, sizes and every byte against the checksums of its record."""

import os
import zipfile
from typing import Any, BinaryIO

from . import hdf5_probe, reader, weights
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
    """Check the weights; HDF5 sees only what the checksums have found to be as it was written."""
    region = weights.region_of(file, path)
    guarded = _guarded_arrays(fields, region)
    image = (fields or {}).get("image")
    slot = image["record"] if image and path.endswith(WEIGHTS_SUFFIX) else [region.size, 0]
    total = _compare_bytes(region, guarded, slot[0], slot[0] + slot[1])
    if path.endswith(MODEL_SUFFIX):
        with zipfile.ZipFile(file) as archive:
            if total != archive.getinfo(WEIGHTS).CRC:
                raise CheckpointCorruptError(f"its member {WEIGHTS} is damaged (checksum differs)")
    if image is None:
        _compare_structure(weights.stored_arrays(region), None if fields is None else guarded)
    elif image["crc32"] != f"{total:08x}":
        # A zip that says the same of its member was changed on purpose: HDF5 made that.
        if path.endswith(MODEL_SUFFIX) or hdf5_probe.survives(path):
            _compare_structure(weights.stored_arrays(region), guarded)
        raise CheckpointCorruptError("the structure around its arrays is damaged")


def _guarded_arrays(
    fields: dict[str, Any] | None, region: Region
) -> list[tuple[int, int, str, str]]:
    """Return (offset, length, checksum, name) of each array in a record, in their order."""
    guards = (fields or {}).get("arrays", {})
    arrays = sorted((offset, nbytes, crc, name) for name, (crc, offset, nbytes) in guards.items())
    position = 0
    for offset, nbytes, _, name in arrays:
        if nbytes and not position <= offset <= region.size - nbytes:
            raise CheckpointCorruptError(f"array {name!r} does not lie where the record says")
        position = max(position, offset + nbytes)
    return arrays


def _compare_bytes(
    region: Region, arrays: list[tuple[int, int, str, str]], slot_start: int, slot_end: int
) -> int:
    """Compare each array with its checksum; return that of the region with the record blank."""
    total = position = 0
    for offset, nbytes, expected, name in arrays:
        if not nbytes:
            continue
        total = _skeleton_checksum(region, position, offset, slot_start, slot_end, total)
        found = checksum_of(region, offset, nbytes)
        if expected != f"{found:08x}":
            raise CheckpointCorruptError(f"array {name!r} is damaged (checksum differs)")
        total = combine(total, found, nbytes)
        position = offset + nbytes
    return _skeleton_checksum(region, position, region.size, slot_start, slot_end, total)


def _compare_structure(
    found: list[StoredArray], guarded: list[tuple[int, int, str, str]] | None
) -> None:
    """Check that the arrays that HDF5 finds are those of the record, if there is one."""
    names = {array.name: (array.offset, array.nbytes) for array in found}
    if guarded is None:
        return
    for offset, nbytes, _, name in guarded:
        if names.pop(name, None) != (offset, nbytes):
            raise CheckpointCorruptError(f"array {name!r} is missing")
    if names:
        raise CheckpointCorruptError(f"array {min(names)!r} is not one that was saved")


def _skeleton_checksum(
    region: Region, start: int, end: int, slot_start: int, slot_end: int, total: int
) -> int:
    if not start <= slot_start < slot_end <= end:
        return checksum_of(region, start, end - start, total)
    total = checksum_of(region, start, slot_start - start, total)
    total = crc32(BLANK * (slot_end - slot_start), total)
    return checksum_of(region, slot_end, end - slot_end, total)


def checksum_of(region: Region, start: int, length: int, total: int = 0) -> int:
    """Return the CRC-32 of a part of the weights, continued from `total`."""
    region.seek(start)
    while length:
        piece = region.read(min(length, _CHUNK))
        if not piece:
            raise CheckpointCorruptError("the file ends too early")
        total = crc32(piece, total)
        length -= len(piece)
    return total
