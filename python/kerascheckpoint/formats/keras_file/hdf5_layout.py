"""The layout of a `.weights.h5` file: h5py makes it once, then each save only fills in the arrays.

h5py builds a file with the right structure but without array data. It yields the skeleton (all
bytes that are not array data) and the offset of each array. As long as names, shapes and dtypes
stay the same, a file is the skeleton plus the arrays at their offsets.
"""

import dataclasses
import functools
import tempfile
from typing import BinaryIO

import h5py
import numpy as np

from ...model_state import ArraySpec, Structure
from ...storage.checksum import crc32
from .. import record

BLANK = b" "


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything lies in a file.

    Attributes:
        structure: The structure that it belongs to.
        size: Size of the whole file in bytes.
        skeleton: The pieces between the arrays, as (offset, bytes).
        offsets: Offset of each non-empty array.
        record_offset: Where the text of the record begins; it is blank in the skeleton.
        record_capacity: Bytes reserved for the record.
    """

    structure: Structure
    size: int
    skeleton: tuple[tuple[int, bytes], ...]
    offsets: dict[str, int]
    record_offset: int
    record_capacity: int

    @functools.cached_property
    def sequence(self) -> list[bytes | str]:
        """The parts of the file in order: pieces of the skeleton and names of arrays."""
        parts: dict[int, bytes | str] = dict(self.skeleton)
        parts |= {offset: name for name, offset in self.offsets.items()}
        return [parts[offset] for offset in sorted(parts)]

    @functools.cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Offset and size of each array in bytes; the offset of an empty one is 0."""
        return {
            spec.name: (self.offsets.get(spec.name, 0), spec.nbytes)
            for spec in self.structure.arrays
        }

    @functools.cached_property
    def head(self) -> tuple[int, int]:
        """Length and CRC-32 of the bytes before the first array, with a blank record."""
        _, head = self.skeleton[0]
        return len(head), crc32(head)


def lay_out(structure: Structure, record_capacity: int) -> Layout:
    """Let h5py lay out a file for `structure`, with `record_capacity` bytes for a record."""
    with tempfile.TemporaryFile() as file:
        with h5py.File(file, "w") as h5_file:
            if record_capacity:
                h5_file.attrs[record.KEY] = _record_marker(record_capacity)
            for group in structure.groups:
                h5_group = h5_file.require_group(group.variables)
                if group.name is not None:
                    h5_group.attrs["name"] = group.name
            datasets = [_create(h5_file, spec) for spec in structure.arrays]
            # Arrays get their offsets last, so that they follow each other behind everything else.
            offsets = {
                spec.name: _place(spec, dataset)
                for spec, dataset in zip(structure.arrays, datasets, strict=True)
                if spec.nbytes
            }
            del datasets
        size = file.seek(0, 2)
        skeleton = _pieces_between(file, size, structure, offsets)
    if not record_capacity:
        return Layout(structure, size, tuple(skeleton), offsets, 0, 0)
    return _with_blank_record(structure, size, skeleton, offsets, record_capacity)


def _create(h5_file: h5py.File, spec: ArraySpec) -> h5py.h5d.DatasetID:
    """Create a dataset that has no offset yet."""
    dataset = h5py.h5d.create(
        h5_file.id,
        spec.name.encode(),
        h5py.h5t.py_create(spec.dtype, logical=True),
        h5py.h5s.create_simple(spec.shape) if spec.shape else h5py.h5s.create(h5py.h5s.SCALAR),
        *_creation_properties(),
    )
    if spec.dtype.name == "bfloat16":
        h5py.Dataset(dataset).attrs["dtype"] = "bfloat16"  # for HDF5, it is two opaque bytes
    return dataset


@functools.cache
def _creation_properties() -> tuple[h5py.h5p.PropDCID, h5py.h5p.PropLCID]:
    """Return the properties for new datasets and for links to them."""
    dataset = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    dataset.set_layout(h5py.h5d.CONTIGUOUS)
    dataset.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    links.set_char_encoding(h5py.h5t.CSET_UTF8)
    return dataset, links


def _place(spec: ArraySpec, dataset: h5py.h5d.DatasetID) -> int:
    """Write one element of a dataset, which makes HDF5 choose its offset; return the offset."""
    one = (1,) * len(spec.shape)
    space = dataset.get_space()
    if spec.shape:
        space.select_hyperslab((0,) * len(one), one)
    dataset.write(h5py.h5s.create_simple(one or (1,)), space, np.zeros(one, spec.dtype))
    offset: int = dataset.get_offset()
    return offset


def _pieces_between(
    file: BinaryIO, size: int, structure: Structure, offsets: dict[str, int]
) -> list[tuple[int, bytes]]:
    lengths = {spec.name: spec.nbytes for spec in structure.arrays}
    taken = sorted((offset, offset + lengths[name]) for name, offset in offsets.items())
    pieces, position = [], 0
    for start, end in [*taken, (size, size)]:
        if start > position:
            file.seek(position)
            pieces.append((position, file.read(start - position)))
        position = end
    return pieces


def _record_marker(capacity: int) -> str:
    """Return a text of `capacity` bytes that occurs nowhere else in a file."""
    return "\1kerascheckpoint record\1".ljust(capacity)


def _with_blank_record(
    structure: Structure,
    size: int,
    skeleton: list[tuple[int, bytes]],
    offsets: dict[str, int],
    capacity: int,
) -> Layout:
    marker = _record_marker(capacity).encode()
    for index, (offset, piece) in enumerate(skeleton):
        found = piece.find(marker)
        if found >= 0:
            blank = piece[:found] + BLANK * capacity + piece[found + capacity :]
            skeleton[index] = (offset, blank)
            return Layout(structure, size, tuple(skeleton), offsets, offset + found, capacity)
    raise RuntimeError("h5py placed the record's attribute in an unexpected form")
