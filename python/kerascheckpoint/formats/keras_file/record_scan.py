"""Find the record of a `.weights.h5` file in its bytes, without HDF5.

The HDF5 library may crash or never return on a file with a flipped bit in its structure. Files of
our own writer have the record as plain text near the start. Its checksums show whether it and all
bytes before the first array are as they were written.
"""

import dataclasses
import json
from typing import Any

from ...errors import CheckpointCorruptError, CheckpointSchemaError
from .. import record
from .file_slice import FileSlice

_WITHIN = 1 << 16  # bytes; in our layout, the record begins within them
_LENGTHS = (_WITHIN, 1 << 20, 1 << 24, 1 << 27)  # bytes to read for its text, one after the other


@dataclasses.dataclass(frozen=True)
class ScannedRecord:
    """Bytes of a file that look like a record.

    Attributes:
        fields: The decoded record; `None` if it is damaged or belongs elsewhere.
        is_as_written: Whether the bytes before the first array match the record.
        size: Size in bytes that the file should have.
    """

    fields: dict[str, Any] | None = None
    is_as_written: bool = False
    size: int = 0


def find(weights: FileSlice) -> ScannedRecord | None:
    """Return the bytes that look like a record, or `None`.

    They may be stray text, because HDF5 fills gaps in a file with whatever its memory held.
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
    """Parse the JSON value that begins at `place`."""
    for length in _LENGTHS:
        content = weights.read_at(place, length)
        record.check_size(content)
        try:
            return json.JSONDecoder().raw_decode(content.decode(errors="replace"))[0]
        except (ValueError, RecursionError):
            if len(content) < length:
                break
    raise CheckpointCorruptError("its record is not JSON")
