"""Write standard `.weights.h5` and `.keras` files from arrays in memory.

A `.keras` file is an uncompressed zip. The weights come first and begin at a whole page, so that
arrays go straight to their final places. Everything that depends on their checksums (the record) or
changes its length between saves follows.
"""

import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...model_state import ArraySpec, ModelSnapshot
from ...storage.checksum import combine
from ...storage.direct_io import BLOCK, Stream, write_all
from .. import record
from . import hdf5_layout
from .hdf5_layout import Layout

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
HEAD = BLOCK  # offset of the weights in a .keras file

_WIDEST = 10**15  # no offset has more digits
_PADDING = 0xD935  # id of the zip extra field that Android's zipalign pads with


class KerasFileWriter:
    """Writes one file after the other and reuses the layout."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._stream = Stream()

    @property
    def offsets(self) -> Mapping[str, int]:
        """Offset of each array in the weights of the last file, if there was one."""
        return {} if self._layout is None else self._layout.offsets

    def _layout_for(self, content: ModelSnapshot, fields: Mapping[str, Any]) -> Layout:
        """Return the layout for `content`: the last one if it still fits."""
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

    def write(
        self,
        fd: int,
        content: ModelSnapshot,
        fields: Mapping[str, Any],
        *,
        bypass_cache: bool = True,
    ) -> None:
        """Write a whole file into `fd`, over all that it holds.

        Args:
            fd: File descriptor, open for reading and writing.
            content: The content of the file.
            fields: The record's fields, to which this adds the checksums.
            bypass_cache: See `Stream.write`.

        Raises:
            OSError: If the system cannot write, or the file ends up with a wrong size.
        """
        held = os.fstat(fd).st_size
        layout = self._layout_for(content, fields)
        base = 0 if content.config is None else HEAD
        how = {"is_lasting": content.is_lasting, "bypass_cache": bypass_cache}
        sums = self._stream.write(fd, _pieces(layout, content), base, layout.size, **how)
        total = _joined(layout, sums)
        text = record.encode(dict(fields) | _guards(layout, sums, total))
        if content.config is None:
            if len(text) > layout.record_capacity:  # the history has outgrown it: make a new layout
                self._layout = None
                self.write(fd, content, fields, bypass_cache=bypass_cache)
                return
            padded = text.encode().ljust(layout.record_capacity)
            write_all(fd, padded, layout.record_offset)
            size = layout.size
        else:
            size = _write_zip_around(fd, layout.size, total, content, text)
        _end(fd, size, held)


def _end(fd: int, size: int, held: int) -> None:
    """Let a file end at `size`; it held so many bytes before.

    Raises:
        OSError: If it has another size all the same.
    """
    if held > size:
        os.ftruncate(fd, size)
    if os.fstat(fd).st_size != size:
        raise OSError(f"the file has {os.fstat(fd).st_size} bytes instead of {size}")


def _pieces(layout: Layout, content: ModelSnapshot) -> Iterator["bytes | memoryview"]:
    """Yield the bytes of the weights, part by part."""
    for part in layout.sequence:
        yield part if isinstance(part, bytes) else _bytes_of(content.arrays[part])


def _joined(layout: Layout, sums: Sequence[int]) -> int:
    """Return the CRC-32 of all parts together."""
    total = 0
    for part, value in zip(layout.sequence, sums, strict=True):
        length = len(part) if isinstance(part, bytes) else layout.places[part][1]
        total = combine(total, value, length)
    return total


def _record_capacity(fields: Mapping[str, Any], content: ModelSnapshot) -> int:
    """Return the bytes to reserve for the record: the most it can take now, and room to grow."""
    widest = dict.fromkeys(content.arrays, array_checksum_entry(0, _WIDEST, _WIDEST))
    image = {"crc32": "0" * 8, "size": _WIDEST, "record": [_WIDEST] * 2, "head": [_WIDEST] * 2}
    guards = {"arrays": widest, "specs": array_specs(content.specs), "image": image}
    length = len(record.encode(dict(fields) | guards))
    return length + length // 2 + 4096


def _guards(layout: Layout, sums: Sequence[int], total: int) -> dict[str, Any]:
    """Return the record's fields that let a reader check that the file is as written.

    Args:
        layout: The layout of the weights.
        sums: CRC-32 of each part of `layout.sequence`.
        total: CRC-32 of all parts together.
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
    """Return an array's entry in the record: checksum, offset in the weights, and size."""
    return [f"{crc:08x}", offset, nbytes]


def array_specs(arrays: Iterable[ArraySpec]) -> list[Any]:
    """Return dtype and shape of each array, as the record has them."""
    return [[record.dtype_text(array.dtype), list(array.shape)] for array in arrays]


def _bytes_of(array: Any) -> memoryview:
    """Return the bytes of a non-empty array, without a copy if it is contiguous."""
    array = np.ascontiguousarray(array)
    if array.dtype.isbuiltin != 1:  # bfloat16 and the like do not support buffers
        array = array.view(np.uint8)
    return memoryview(array).cast("B")


def _write_zip_around(
    fd: int, image_size: int, image_crc: int, content: ModelSnapshot, text: str
) -> int:
    """Turn the weights at `HEAD` into a zip file; return the size of the whole file."""
    weights = zipfile.ZipInfo(WEIGHTS, time.localtime()[:6])
    weights.CRC, weights.file_size, weights.compress_size = image_crc, image_size, image_size
    weights.header_offset, weights.external_attr = 0, 0o600 << 16
    zip64 = image_size >= zipfile.ZIP64_LIMIT
    padding = HEAD - len(weights.FileHeader(zip64)) - 4
    weights.extra = _PADDING.to_bytes(2, "little") + padding.to_bytes(2, "little") + bytes(padding)
    write_all(fd, weights.FileHeader(zip64), 0)
    weights.extra = b""
    # Closing another descriptor of the file would release the lock on it.
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
