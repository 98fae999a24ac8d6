"""Our own writer of standard `.weights.h5` and `.keras` files, from arrays that are ready.

A `.keras` file is a stored zip. Its weights member comes first and begins at a whole page, so that
arrays go straight to their final places; what depends on their checksums (the record) and what
changes its length between saves follows behind.
"""

import dataclasses
import os
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import h5_layout, record
from .checksum import combine, crc32
from .h5_layout import ArraySpec, Group, Layout, Structure

CONFIG, METADATA, WEIGHTS, ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
HEAD = 4096  # where the weights begin in a .keras file

_WIDEST = 10**15  # takes as many digits as any offset
_PADDING = 0xD935  # id of the zip extra field that Android's zipalign pads with
_BATCH = min(os.sysconf("SC_IOV_MAX"), 1024) if hasattr(os, "sysconf") else 16


@dataclasses.dataclass(frozen=True)
class ModelContent:
    """Everything that a file holds, free of Keras.

    Attributes:
        groups: The objects of the model.
        arrays: By full HDF5 path, each something that `numpy.asarray` reads without a copy.
        specs: Shape and dtype of each array, in the same order.
        config: The text of `config.json`; `None` for weights only.
        metadata: What Keras puts into `metadata.json`.
        assets: Contents of asset files by their path below `assets/`.
    """

    groups: tuple[Group, ...]
    arrays: Mapping[str, Any]
    specs: tuple[ArraySpec, ...]
    config: str | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def structure(self) -> Structure:
        """What the layout of the weights depends on."""
        return Structure(self.groups, self.specs)


class Archiver:
    """Writes one file after the other and keeps the layout between them."""

    def __init__(self) -> None:
        self._layout: Layout | None = None

    def _layout_for(self, content: ModelContent, fields: Mapping[str, Any]) -> Layout:
        """Return the layout for what `content` holds, the last one if it is the same."""
        structure = content.structure
        if self._layout is None or self._layout.structure != structure:
            length = _record_length(fields, content) if content.config is None else 0
            self._layout = h5_layout.make(structure, length + length // 2 + 4096)
        return self._layout

    def write(self, fd: int, content: ModelContent, fields: Mapping[str, Any]) -> None:
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
        sums, total = _write_image(fd, base, layout, content.arrays)
        finished = record.encode(dict(fields) | _guards(layout, content.specs, sums, total))
        if content.config is None:
            text = record.dumps(finished).encode()
            if len(text) > layout.record_capacity:  # the history has outgrown it: lay out anew
                self._layout = None
                self.write(fd, content, fields)
                return
            _write_all(fd, [text.ljust(layout.record_capacity)], layout.record_offset)
            size = layout.size
        else:
            size = _write_zip_around(fd, layout.size, total, content, finished)
        if os.fstat(fd).st_size != size:
            raise OSError(f"the file has {os.fstat(fd).st_size} bytes and not {size}")


def _record_length(fields: Mapping[str, Any], content: ModelContent) -> int:
    """Return the bytes that the record will take at most."""
    widest = dict.fromkeys(content.arrays, guard_of_array(0, _WIDEST, _WIDEST))
    image = {"crc32": "0" * 8, "size": _WIDEST, "record": [_WIDEST] * 2, "head": [_WIDEST] * 2}
    draft = record.encode(dict(fields) | {"arrays": widest, "image": image})
    return len(record.dumps(draft).encode())


def _guards(
    layout: Layout, specs: Sequence[ArraySpec], sums: Mapping[str, int], total: int
) -> dict[str, Any]:
    """Return the fields of the record by which a reader tells whether the file is as written."""
    head_length, head_crc = layout.head
    return {
        "arrays": {
            spec.name: guard_of_array(
                sums[spec.name], layout.offsets.get(spec.name, 0), spec.nbytes
            )
            for spec in specs
        },
        "image": {
            "crc32": f"{total:08x}",
            "size": layout.size,
            "record": [layout.record_offset, layout.record_capacity],
            "head": [head_length, f"{head_crc:08x}"],
        },
    }


def guard_of_array(crc: int, offset: int, nbytes: int) -> list[Any]:
    """Return what the record holds of an array: checksum, place in the weights, and length."""
    return [f"{crc:08x}", offset, nbytes]


def _write_image(
    fd: int, base: int, layout: Layout, arrays: Mapping[str, Any]
) -> tuple[dict[str, int], int]:
    """Write skeleton and arrays; return each array's checksum and that of the whole.

    The checksums are computed beside the write, in a second thread: neither holds the lock of the
    interpreter.
    """
    placed: list[tuple[int, Any, str]] = [(offset, piece, "") for offset, piece in layout.skeleton]
    placed += [(offset, _bytes_of(arrays[name]), name) for name, offset in layout.offsets.items()]
    placed.sort(key=lambda entry: entry[0])
    sums: list[int] = []
    reader = threading.Thread(target=lambda: sums.extend(crc32(data) for _, data, _ in placed))
    reader.start()
    try:
        _write_all(fd, [data for _, data, _ in placed], base)
    finally:
        reader.join()
    total = 0
    for (_, data, _), value in zip(placed, sums, strict=True):
        total = combine(total, value, len(data))
    by_name = {name: value for (_, _, name), value in zip(placed, sums, strict=True) if name}
    return {name: by_name.get(name, 0) for name in arrays}, total


def _bytes_of(array: Any) -> memoryview:
    """Return the bytes of an array, without a copy if they lie in order."""
    flat: Any = np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8)
    return memoryview(flat)


def _write_all(fd: int, pieces: Sequence[Any], offset: int) -> None:
    """Write adjoining pieces of bytes from `offset` on, as few system calls as there can be."""
    pending = [memoryview(piece) for piece in pieces if len(piece)]
    start = 0
    while start < len(pending):
        written = os.pwritev(fd, pending[start : start + _BATCH], offset)
        offset += written
        while start < len(pending) and written >= len(pending[start]):
            written -= len(pending[start])
            start += 1
        if written:
            pending[start] = pending[start][written:]


def _write_zip_around(
    fd: int, image_size: int, image_crc: int, content: ModelContent, finished: Mapping[str, Any]
) -> int:
    """Add what makes a zip of the weights at `HEAD`; return the size of the whole file."""
    weights = zipfile.ZipInfo(WEIGHTS, time.localtime()[:6])
    weights.CRC, weights.file_size, weights.compress_size = image_crc, image_size, image_size
    weights.header_offset, weights.external_attr = 0, 0o600 << 16
    zip64 = image_size >= zipfile.ZIP64_LIMIT
    padding = HEAD - len(weights.FileHeader(zip64)) - 4
    weights.extra = _PADDING.to_bytes(2, "little") + padding.to_bytes(2, "little") + bytes(padding)
    _write_all(fd, [weights.FileHeader(zip64)], 0)
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
            metadata = dict(content.metadata) | {record.KEY: finished}
            archive.writestr(METADATA, record.dumps(metadata))
        return file.tell()
