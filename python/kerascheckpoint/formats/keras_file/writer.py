"""Our own writer of standard `.weights.h5` and `.keras` files, from arrays that are ready.

A `.keras` file is a stored zip. Its weights member comes first and begins at a whole page, so that
arrays go straight to their final places; what depends on their checksums (the record) and what
changes its length between saves follows behind.
"""

import os
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...model_state import ArraySpec, ModelSnapshot
from ...storage.checksum import combine
from ...storage.direct_io import BLOCK, Stream, write_all
from .. import record
from . import hdf5_layout
from .hdf5_layout import Layout

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
HEAD = BLOCK  # where the weights begin in a .keras file

_WIDEST = 10**15  # takes as many digits as any offset
_PADDING = 0xD935  # id of the zip extra field that Android's zipalign pads with


class KerasFileWriter:
    """Writes one file after the other and keeps the layout between them."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._stream = Stream()

    @property
    def offsets(self) -> Mapping[str, int]:
        """Where in the weights each array lay in the last file, if there was one."""
        return {} if self._layout is None else self._layout.offsets

    def _layout_for(self, content: ModelSnapshot, fields: Mapping[str, Any]) -> Layout:
        """Return the layout for what `content` holds, the last one if it is the same."""
        structure, has_record = content.structure, content.config is None
        layout = self._layout
        if (
            layout is None
            or layout.structure != structure
            or (layout.record_capacity > 0) != has_record
        ):
            capacity = _record_capacity(fields, content) if has_record else 0
            layout = self._layout = hdf5_layout.lay_out(structure, capacity)
        return layout

    def write(self, fd: int, content: ModelSnapshot, fields: Mapping[str, Any]) -> None:
        """Write a whole file to `fd`, an empty file.

        Args:
            fd: File descriptor, open for reading and writing.
            content: What the file holds.
            fields: The record's fields, without the checksums, which are made here.

        Raises:
            OSError: If the system refuses, or the file does not have the size that it must have.
        """
        layout = self._layout_for(content, fields)
        base = 0 if content.config is None else HEAD
        pieces = (
            part if isinstance(part, bytes) else _bytes_of(content.arrays[part])
            for part in layout.sequence
        )
        sums = self._stream.write(fd, pieces, base, layout.size, is_lasting=content.is_lasting)
        total = 0
        for part, value in zip(layout.sequence, sums, strict=True):
            length = len(part) if isinstance(part, bytes) else layout.places[part][1]
            total = combine(total, value, length)
        text = record.encode(dict(fields) | _guards(layout, sums, total))
        if content.config is None:
            if len(text) > layout.record_capacity:  # the history has outgrown it: lay out anew
                self._layout = None
                self.write(fd, content, fields)
                return
            padded = text.encode().ljust(layout.record_capacity)
            write_all(fd, padded, layout.record_offset)
            size = layout.size
        else:
            size = _write_zip_around(fd, layout.size, total, content, text)
        if os.fstat(fd).st_size != size:
            raise OSError(f"the file has {os.fstat(fd).st_size} bytes and not {size}")


def _record_capacity(fields: Mapping[str, Any], content: ModelSnapshot) -> int:
    """Return the bytes to keep for the record: what it takes at most now, and room to grow."""
    widest = dict.fromkeys(content.arrays, array_checksum_entry(0, _WIDEST, _WIDEST))
    image = {"crc32": "0" * 8, "size": _WIDEST, "record": [_WIDEST] * 2, "head": [_WIDEST] * 2}
    guards = {"arrays": widest, "specs": array_specs(content.specs), "image": image}
    length = len(record.encode(dict(fields) | guards))
    return length + length // 2 + 4096


def _guards(layout: Layout, sums: Sequence[int], total: int) -> dict[str, Any]:
    """Return the fields of the record by which a reader tells whether the file is as written.

    Args:
        layout: Where everything lies.
        sums: CRC-32 of each part of `layout.sequence`.
        total: CRC-32 of all.
    """
    crcs = dict(zip(layout.sequence, sums, strict=True))
    head_length, head_crc = layout.head
    return {
        "arrays": {
            name: array_checksum_entry(crcs.get(name, 0), offset, nbytes)
            for name, (offset, nbytes) in layout.places.items()
        },
        "specs": array_specs(layout.structure.arrays),
        "image": {
            "crc32": f"{total:08x}",
            "size": layout.size,
            "record": [layout.record_offset, layout.record_capacity],
            "head": [head_length, f"{head_crc:08x}"],
        },
    }


def array_checksum_entry(crc: int, offset: int, nbytes: int) -> list[Any]:
    """Return what the record holds of an array: checksum, place in the weights, and length."""
    return [f"{crc:08x}", offset, nbytes]


def array_specs(arrays: Iterable[ArraySpec]) -> list[Any]:
    """Return what the record holds of arrays' form, in the same order: dtype and shape."""
    return [[record.dtype_text(array.dtype), list(array.shape)] for array in arrays]


def _bytes_of(array: Any) -> memoryview:
    """Return the bytes of an array that is not empty, without a copy if they lie in order."""
    array = np.ascontiguousarray(array)
    if array.dtype.isbuiltin != 1:  # bfloat16 and its like know no buffers
        array = array.view(np.uint8)
    return memoryview(array).cast("B")


def _write_zip_around(
    fd: int, image_size: int, image_crc: int, content: ModelSnapshot, text: str
) -> int:
    """Add what makes a zip of the weights at `HEAD`; return the size of the whole file."""
    weights = zipfile.ZipInfo(WEIGHTS, time.localtime()[:6])
    weights.CRC, weights.file_size, weights.compress_size = image_crc, image_size, image_size
    weights.header_offset, weights.external_attr = 0, 0o600 << 16
    zip64 = image_size >= zipfile.ZIP64_LIMIT
    padding = HEAD - len(weights.FileHeader(zip64)) - 4
    weights.extra = _PADDING.to_bytes(2, "little") + padding.to_bytes(2, "little") + bytes(padding)
    write_all(fd, weights.FileHeader(zip64), 0)
    weights.extra = b""
    # A descriptor of its own would end the lock on the file when it is closed.
    with open(fd, "r+b", closefd=False) as file:
        file.seek(HEAD + image_size)
        with zipfile.ZipFile(file, "w") as archive:
            archive.filelist.append(weights)
            archive.NameToInfo[WEIGHTS] = weights
            archive.writestr(CONFIG, content.config or "")
            for name, asset in content.assets.items():
                archive.writestr(f"{ASSETS}/{name}", asset)
            archive.writestr(METADATA, record.embed(content.metadata, text))
        return file.tell()
