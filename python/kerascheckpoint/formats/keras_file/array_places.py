"""Where the arrays lie according to the record, and whether their bytes match it."""

from typing import Any

from ...errors import CheckpointCorruptError
from ...storage.checksum import combine
from .. import record
from .file_slice import FileSlice
from .hdf5_structure import StoredArray

Guard = tuple[int, int, str, str]  # offset, length, checksum and name of an array


def guards(fields: dict[str, Any] | None, size: int) -> list[Guard]:
    """Return the arrays for which a record has checksums, in the order of their bytes.

    Args:
        fields: The record, or `None`.
        size: Size of the weights in bytes.

    Raises:
        CheckpointCorruptError: If they overlap or lie outside of the weights.
    """
    entries = (fields or {}).get("arrays", {})
    arrays = sorted((offset, nbytes, crc, name) for name, (crc, offset, nbytes) in entries.items())
    position = 0
    for offset, nbytes, _, name in arrays:
        if nbytes and not position <= offset <= size - nbytes:
            raise CheckpointCorruptError(f"array {name!r} is missing where the record says it lies")
        position = max(position, offset + nbytes)
    return arrays


def check_image(image: dict[str, Any] | None, size: int) -> None:
    """Check that weights of `size` bytes can have the layout in the record."""
    if image is None:
        return
    (start, length), (head, _) = image["record"], image["head"]
    if start + length > head or head > size:
        raise CheckpointCorruptError("its record has no usable 'image'")


def from_record(fields: dict[str, Any] | None, size: int) -> list[StoredArray] | None:
    """Return the arrays as the record describes them, or `None` if it has no shapes."""
    if fields is None or fields.get("specs") is None:
        return None
    arrays = []
    entries = fields.get("arrays", {})
    if len(entries) != len(fields["specs"]):
        raise CheckpointCorruptError("its record has no usable 'specs'")
    for (name, (_, offset, nbytes)), (dtype, shape) in zip(
        entries.items(), fields["specs"], strict=True
    ):
        array = StoredArray(name, tuple(shape), record.dtype_of(dtype), offset)
        if array.nbytes != nbytes or (nbytes and offset > size - nbytes):
            raise CheckpointCorruptError(f"its record has no usable 'specs' of {name!r}")
        arrays.append(array)
    return sorted(arrays, key=lambda array: array.offset)


def compare_bytes(weights: FileSlice, arrays: list[Guard], slot: tuple[int, int]) -> int:
    """Compare each array with its checksum; return the checksum of the weights without the record.

    The bytes of the record, in `slot`, count as blanks.
    """
    total = position = 0
    for offset, nbytes, expected, name in arrays:
        if not nbytes:
            continue
        total = weights.checksum(position, offset, total, slot)
        position = offset + nbytes
        found = weights.checksum(offset, position)
        if expected != f"{found:08x}":
            raise CheckpointCorruptError(f"array {name!r} is damaged (checksum differs)")
        total = combine(total, found, nbytes)
    return weights.checksum(position, weights.size, total, slot)


def compare_structure(
    found: list[StoredArray], arrays: list[Guard], expected: list[StoredArray] | None
) -> None:
    """Check that HDF5 finds exactly the arrays of the record.

    Args:
        found: The arrays that HDF5 finds.
        arrays: The arrays with a checksum in the record.
        expected: Shapes and dtypes, if the record has them.
    """
    stored = {array.name: array for array in found}
    shapes = {array.name: array for array in expected or []}
    for offset, nbytes, _, name in arrays:
        array = stored.pop(name, None)
        if array is None or (array.offset, array.nbytes) != (offset, nbytes):
            raise CheckpointCorruptError(f"array {name!r} is missing")
        wanted = shapes.get(name, array)
        is_same = array.dtype == wanted.dtype or array.dtype.kind == "V"
        if array.shape != wanted.shape or not is_same:
            raise CheckpointCorruptError(f"array {name!r} has another shape or dtype")
    if stored:
        raise CheckpointCorruptError(f"array {min(stored)!r} is not one that was saved")
