"""Compare two checkpoints array by array, without Keras and in little memory."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import location
from .formats.base import OpenCheckpoint
from .formats.forms import open_checkpoint, reading_many
from .model_state import ArraySpec
from .storage.places import storage_for

_NAN = math.nan
_ELEMENTS = 1 << 20  # compared at once


@dataclasses.dataclass(frozen=True)
class ArrayDifference:
    """How one array differs between two checkpoints.

    Attributes:
        name: The array's path, as `.weights.h5` files name it.
        shape: Its shape in `a`, or in `b` if `a` lacks the array.
        dtype: Its dtype in the same checkpoint.
        equal: Whether the arrays are equal bit for bit.
        max_abs: Largest absolute difference of finite values; NaN if nothing can be compared.
        mean_abs: Mean absolute difference of finite values.
        not_finite: Number of elements that are NaN or infinite in either checkpoint.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    equal: bool
    max_abs: float
    mean_abs: float
    not_finite: int


def compare_checkpoints(
    a: "str | os.PathLike[str]",
    b: "str | os.PathLike[str]",
    storage_options: Mapping[str, Any] | None = None,
) -> list[ArrayDifference]:
    """Compare the arrays of two checkpoints, including those of the optimizer.

    Args:
        a: A `.keras` or `.weights.h5` file.
        b: Another one; the two may have different forms.
        storage_options: For a URL, what fsspec needs to reach it.

    Returns:
        One entry per array, in the order of `a`, followed by the arrays that only `b` has. If an
        array is in one checkpoint only, or the shapes differ, `equal` is False and the differences
        are NaN.

    Raises:
        CheckpointNotFoundError: If one of them is missing.
        CheckpointCorruptError: If one of them is damaged.
    """
    with (
        reading_many(),
        _opened("a", a, storage_options) as first,
        _opened("b", b, storage_options) as second,
    ):
        ours, theirs = first.arrays(), second.arrays()
        return [
            _difference(first, ours.get(name), second, theirs.get(name))
            for name in dict.fromkeys([*ours, *theirs])
        ]


def _opened(argument: str, path: Any, options: Mapping[str, Any] | None) -> OpenCheckpoint:
    path = location.absolute(path)
    options = options if location.is_url(path) else None
    return open_checkpoint(path, storage_for(path, options, argument=argument))


def _difference(
    first: OpenCheckpoint, a: ArraySpec | None, second: OpenCheckpoint, b: ArraySpec | None
) -> ArrayDifference:
    known = a or b
    assert known is not None
    if a is None or b is None or a.shape != b.shape or not (_is_number(a) and _is_number(b)):
        same = a is not None and b is not None and a == b and _same_bytes(first, a, second, b)
        nothing = (0.0, 0.0, 0) if same else (_NAN, _NAN, 0)
        return ArrayDifference(known.name, known.shape, str(known.dtype), same, *nothing)
    equal, largest, total, finite, not_finite = a.dtype == b.dtype, 0.0, 0.0, 0, 0
    widest = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    for left, right in zip(_chunks(first, a), _chunks(second, b), strict=True):
        equal = equal and left.tobytes() == right.tobytes()
        x, y = left.astype(widest), right.astype(widest)
        usable = np.isfinite(x) & np.isfinite(y)
        apart = np.abs(x[usable] - y[usable])
        not_finite += int(usable.size - np.count_nonzero(usable))
        finite += apart.size
        total += float(apart.sum())
        largest = max(largest, float(apart.max(initial=0.0)))
    mean = total / finite if finite else 0.0
    return ArrayDifference(a.name, a.shape, str(a.dtype), equal, largest, mean, not_finite)


def _chunks(checkpoint: OpenCheckpoint, array: ArraySpec) -> Iterator[np.ndarray[Any, Any]]:
    """Yield an array's elements, the same number at a time for every form."""
    size = _ELEMENTS * array.dtype.itemsize
    held = np.empty(0, np.uint8)
    for piece in checkpoint.pieces(array):
        held = np.concatenate([held, piece]) if held.size else piece
        while held.size >= size:
            yield held[:size].view(array.dtype)
            held = held[size:]
    if held.size:
        yield held.view(array.dtype)


def _same_bytes(first: OpenCheckpoint, a: ArraySpec, second: OpenCheckpoint, b: ArraySpec) -> bool:
    pairs = zip(_chunks(first, a), _chunks(second, b), strict=True)
    return all([left.tobytes() == right.tobytes() for left, right in pairs])


def _is_number(array: ArraySpec) -> bool:
    """Tell whether an array holds numbers and not opaque bytes."""
    return array.dtype.kind in "biufc" or array.dtype.isbuiltin != 1
