"""Check a standard Keras file: structure, sizes, and every byte against its record's checksums."""

import zipfile
from typing import Any, BinaryIO

from ...checkpoint_info import CheckpointInfo
from ...errors import CheckpointCorruptError
from ...file_kind import MODEL_SUFFIX, WEIGHTS_SUFFIX
from ...storage.checksum import combine
from . import hdf5_probe, reader, weights_member
from .weights_member import FileSlice, StoredArray, checksum_of
from .writer import WEIGHTS

_Guarded = tuple[int, int, str, str]  # offset, length, checksum and name of an array

_NONE = (0, 0)  # no slot

_CHUNK = 8 << 20  # bytes read at once


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
        weights_member.stored_member(archive, "config.json")
        for member in archive.infolist():
            weights_member.stored_member(archive, member.filename)
            if member.filename != WEIGHTS:
                with archive.open(member) as content:
                    while content.read(_CHUNK):
                        pass


def _check_weights(file: BinaryIO, path: str, fields: dict[str, Any] | None) -> None:
    """Check the weights; HDF5 sees only what the checksums have found to be as it was written."""
    region = weights_member.region_of(file, path)
    guarded = _guarded_arrays(fields, region)
    image = (fields or {}).get("image")
    total = _compare_bytes(
        region, guarded, _slot(image) if path.endswith(WEIGHTS_SUFFIX) else _NONE
    )
    if region.crc not in (None, total):
        raise CheckpointCorruptError(f"its member {WEIGHTS} is damaged (checksum differs)")
    if image is None:
        found = weights_member.stored_arrays(region)
        if fields is not None:
            _compare_structure(found, guarded)
    elif image["crc32"] != f"{total:08x}":
        # A zip that says the same of its member was changed on purpose: HDF5 made that.
        if region.crc is not None or hdf5_probe.can_open(path):
            _compare_structure(weights_member.stored_arrays(region), guarded)
        raise CheckpointCorruptError("the structure around its arrays is damaged")


def _slot(image: dict[str, Any] | None) -> tuple[int, int]:
    """Return where the record lies in the weights, as (start, end); it guards itself."""
    if image is None:
        return _NONE
    start, length = image["record"]
    return start, start + length


def _guarded_arrays(fields: dict[str, Any] | None, region: FileSlice) -> list[_Guarded]:
    """Return the arrays that a record guards, in the order of their bytes."""
    guards = (fields or {}).get("arrays", {})
    arrays = sorted((offset, nbytes, crc, name) for name, (crc, offset, nbytes) in guards.items())
    position = 0
    for offset, nbytes, _, name in arrays:
        if nbytes and not position <= offset <= region.size - nbytes:
            raise CheckpointCorruptError(f"array {name!r} is missing where the record says it lies")
        position = max(position, offset + nbytes)
    return arrays


def _compare_bytes(region: FileSlice, arrays: list[_Guarded], slot: tuple[int, int]) -> int:
    """Compare each array with its checksum; return that of the region with the record blank."""
    total = position = 0
    for offset, nbytes, expected, name in arrays:
        if not nbytes:
            continue
        total = checksum_of(region, position, offset, total, slot)
        position = offset + nbytes
        found = checksum_of(region, offset, position)
        if expected != f"{found:08x}":
            raise CheckpointCorruptError(f"array {name!r} is damaged (checksum differs)")
        total = combine(total, found, nbytes)
    return checksum_of(region, position, region.size, total, slot)


def _compare_structure(found: list[StoredArray], guarded: list[_Guarded]) -> None:
    """Check that the arrays that HDF5 finds are those of the record."""
    places = {array.name: (array.offset, array.nbytes) for array in found}
    for offset, nbytes, _, name in guarded:
        if places.pop(name, None) != (offset, nbytes):
            raise CheckpointCorruptError(f"array {name!r} is missing")
    if places:
        raise CheckpointCorruptError(f"array {min(places)!r} is not one that was saved")
