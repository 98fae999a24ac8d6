"""The record of a `.weights.h5` file, read as plain bytes and without HDF5.

The HDF5 library may crash or never return on a file with a flipped bit in its structure. Files of
our own writer hold their record as plain text near the start, with checksums by which it and all
before the first array are known to be as they were written.
"""

import dataclasses
import json
from typing import Any

from ...errors import CheckpointCorruptError, CheckpointSchemaError
from .. import record
from .file_slice import FileSlice

_WITHIN = 1 << 16  # bytes from the start in which our layout begins the record
_LENGTHS = (_WITHIN, 1 << 20, 1 << 24, 1 << 27)  # bytes that are tried for its text


@dataclasses.dataclass(frozen=True)
class ScannedRecord:
    """What looks like a record in the bytes of a file.

    Attributes:
        fields: The decoded record; `None` if it is not a whole one of this place.
        is_as_written: Whether the structure before the first array is what the record says.
        size: Bytes that the file should have.
    """

    fields: dict[str, Any] | None = None
    is_as_written: bool = False
    size: int = 0


def find(weights: FileSlice) -> ScannedRecord | None:
    """Return what looks like a record, or `None`.

    Stray text of one may stand in any file: HDF5 writes what its memory held before into gaps.
    """
    place = weights.read_at(0, _WITHIN).find(record.BEGIN)
    if place < 0:
        return None
    try:
        fields = record.decode(_text_at(weights, place))
        offset, capacity = fields["image"]["record"]
        length, crc = fields["image"]["head"]
        if offset != place or not offset < offset + capacity <= length <= weights.size:
            return ScannedRecord()
        found = weights.checksum(0, length, blank=(offset, offset + capacity))
        is_as_written = crc == f"{found:08x}"
        return ScannedRecord(fields, is_as_written, fields["image"]["size"])
    except (CheckpointCorruptError, CheckpointSchemaError, KeyError, TypeError, ValueError):
        return ScannedRecord()


def _text_at(weights: FileSlice, place: int) -> Any:
    """Parse the JSON value that begins at `place`, of whatever length."""
    for length in _LENGTHS:
        content = weights.read_at(place, length)
        record.check_size(content)
        try:
            return json.JSONDecoder().raw_decode(content.decode(errors="replace"))[0]
        except (ValueError, RecursionError):
            if len(content) < length:
                break
    raise CheckpointCorruptError("its record is no JSON")
