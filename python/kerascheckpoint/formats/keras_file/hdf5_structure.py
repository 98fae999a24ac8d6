"""The content of an HDF5 file, as the HDF5 library finds it.

The library may crash, hang or use up all memory on a damaged file. Only files that Keras has just
written for us are read in this process; `hdf5_helper` reads all others in another one.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from ...errors import CheckpointCorruptError
from ...model_state import STATE, ArraySpec, ObjectGroup
from .. import record
from ..base import ForeignFileError

TEXT_LIMIT = 1 << 27  # bytes; a longer text is not a record
_OBJECT_LIMIT = 1_000_000  # groups and arrays
_PATH_LIMIT = 1 << 26  # characters in all their paths together


@dataclasses.dataclass(frozen=True)
class StoredArray(ArraySpec):
    """An array and the offset of its bytes in the weights."""

    offset: int


@dataclasses.dataclass(frozen=True)
class Hdf5Content:
    """The content of a file.

    Attributes:
        record: The text of its record, if it has one.
        keras_version: The version of Keras in a legacy model.
        arrays: All arrays, in the order of their bytes; `None` if they were not requested.
        groups: All objects of the model, even without arrays; `None` if not requested.
    """

    record: str | None
    keras_version: str | None
    arrays: list[StoredArray] | None
    groups: list[ObjectGroup] | None = None


def examine(file: Any, size: int, *, legacy: bool, with_arrays: bool) -> Hdf5Content:
    """Return the content of an HDF5 file.

    Args:
        file: A path, or a file object that h5py can read.
        size: Size of the file in bytes.
        legacy: Whether it should be a legacy `.h5` model instead of weights.
        with_arrays: Whether to find every array.

    Raises:
        CheckpointCorruptError: If its form is not one that Keras writes.
        Exception: Whatever h5py raises on a damaged file.
    """
    with h5py.File(file, "r") as h5_file:
        text = _attribute(h5_file, record.KEY)
        if text is None:
            _check_form(h5_file, legacy=legacy)
        arrays = _arrays(h5_file, size) if with_arrays else None
        groups = _groups(h5_file) if with_arrays else None
        return Hdf5Content(text, _attribute(h5_file, "keras_version"), arrays, groups)


def _attribute(h5_file: h5py.File, name: str) -> str | None:
    """Return the text in an attribute of the root, or `None` if there is no such attribute."""
    if name not in h5_file.attrs:
        return None
    attribute = h5_file.attrs.get_id(name)
    if attribute.shape != () or attribute.get_storage_size() > TEXT_LIMIT:
        raise CheckpointCorruptError(f"its attribute {name!r} is not one text")
    text = h5_file.attrs[name]
    if not isinstance(text, str) or len(text) > TEXT_LIMIT:
        raise CheckpointCorruptError(f"its attribute {name!r} is not a text")
    return text


def _check_form(h5_file: h5py.File, *, legacy: bool) -> None:
    """Raise unless a file has the form that Keras writes.

    Weights are arrays in groups called `vars`; a legacy model has the group `model_weights`.
    """
    if legacy:
        link = h5_file.get("model_weights", getlink=True)
        if not isinstance(link, h5py.HardLink) or not isinstance(
            h5_file["model_weights"], h5py.Group
        ):
            raise ForeignFileError("it does not hold a Keras model")
        return
    own = (found for found in _datasets(h5_file) if not found[0].startswith(STATE))
    first = next(own, None)
    if first is None and "vars" not in h5_file and "layers" not in h5_file:
        raise CheckpointCorruptError("it does not hold weights of a Keras model")
    if first is not None and "vars" not in first[0].split("/")[:-1]:
        raise CheckpointCorruptError(f"its array {first[0]!r} is not where Keras stores arrays")


def _arrays(h5_file: h5py.File, size: int) -> list[StoredArray]:
    arrays = [_stored_array(name, dataset) for name, dataset in _datasets(h5_file)]
    for array in arrays:
        if array.nbytes and not 0 <= array.offset <= size - array.nbytes:
            raise CheckpointCorruptError(f"array {array.name!r} lies outside of the file")
    return sorted(arrays, key=lambda array: array.offset)


def _groups(h5_file: h5py.File) -> list[ObjectGroup]:
    """Return the objects that have a group `vars`; `_arrays` has found no loops."""
    found: list[ObjectGroup] = []

    def visit(path: str, item: Any) -> None:
        place, _, last = path.rpartition("/")
        if isinstance(item, h5py.Group) and last == "vars":
            name = item.attrs.get("name")
            found.append(ObjectGroup(place, name if isinstance(name, str) else None))

    h5_file.visititems(visit)
    return found


def _datasets(h5_file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every array with its path; raise on links."""
    pending: list[tuple[str, h5py.Group]] = [("", h5_file)]
    seen: set[int] = set()
    length = 0
    while pending:
        path, group = pending.pop()
        below: list[tuple[str, h5py.Group]] = []
        for name in group:
            where = f"{path}{name}"
            length += len(where)
            if len(seen) >= _OBJECT_LIMIT or length > _PATH_LIMIT:
                raise CheckpointCorruptError("it holds more groups than any model has")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise CheckpointCorruptError(f"{where!r} is a link to another place")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:  # else a few groups could have millions of paths
                raise CheckpointCorruptError(f"{where!r} is a second name of another object")
            seen.add(address)
            if isinstance(item, h5py.Group):
                below.append((f"{where}/", item))
            elif isinstance(item, h5py.Dataset):
                yield where, item
            else:
                raise CheckpointCorruptError(f"{where!r} is neither a group nor an array")
        pending += reversed(below)


def _stored_array(name: str, dataset: h5py.Dataset) -> StoredArray:
    array = StoredArray(name, dataset.shape or (), _dtype(dataset), dataset.id.get_offset() or 0)
    is_plain = dataset.id.get_offset() is not None and dataset.chunks is None
    if array.nbytes and not (is_plain and not dataset.external):
        raise CheckpointCorruptError(f"array {name!r} is not stored as plain bytes")
    return array


def _dtype(dataset: h5py.Dataset) -> "np.dtype[Any]":
    """Return an array's dtype, or opaque bytes if it is neither a number nor bfloat16.

    HDF5 stores bfloat16 as two opaque bytes, which Keras marks with an attribute.
    """
    dtype: np.dtype[Any] = dataset.dtype
    if dtype.kind == "V" and dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16":
        return record.dtype_of("bfloat16")
    if dtype.kind in "biufc":
        return np.dtype(dtype.str)
    return np.dtype(f"V{dataset.id.get_type().get_size()}")
