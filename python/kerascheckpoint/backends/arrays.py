"""Hold the current values of variables, and view them as NumPy arrays without needless copies.

TensorFlow: reading a variable returns an alias that keeps its value while training continues
(copy-on-write). JAX reuses the memory of donated arrays and PyTorch updates tensors in place, so
values held there are valid only until the next batch (see `snapshot.staging`).
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import keras
import numpy as np

from ..keras_seam.private import BACKEND
from ..keras_seam.variable import VARIABLE
from ..model_state import Index, ShardedArray
from .base import Array, Backend

Hold = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes hold of values by name: `hold` or one of those that treat sharded arrays differently."""

_KNOWN = ("jax", "tensorflow", "torch")


@functools.cache
def backend() -> Backend:
    """Return the module for this process's Keras backend."""
    name = BACKEND if BACKEND in _KNOWN else "other"
    return cast(Backend, importlib.import_module(f".{name}", __package__))


def is_on_device(value: Any) -> bool:
    """Tell whether a variable, tensor or array lies in the memory of a GPU or other accelerator."""
    value = value.value if isinstance(value, VARIABLE) else value
    return not isinstance(value, np.ndarray) and backend().is_on_device(value)


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hold the current value of each variable, tensor or array.

    Values on a device stay there, as the backend's own arrays; all others become NumPy arrays.

    Returns:
        The held values, under the same names and in the same order.
    """
    return backend().hold(_plain(values))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.value if isinstance(value, VARIABLE) else value
        for name, value in values.items()
    }


def _hold_by(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Hold values by a function of the backend, or as `hold` does if it has no such function."""
    own = getattr(backend(), name, backend().hold)
    return dict(own(_plain(values)))


def hold_shards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hold values as `hold` does, but arrays on several devices as their shards.

    Returns:
        The held values, with a `ShardedArray` of held shards for each sharded array.
    """
    return _hold_by("hold_shards", values)


def hold_in_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hold values as `hold` does, but leave an array on several devices where it is.

    Returns:
        The held values; those for which `is_sharded` is true are the backend's own arrays.
    """
    return _hold_by("hold_in_place", values)


def is_sharded(value: Any) -> bool:
    """Tell whether a held value is split over several devices."""
    own = getattr(backend(), "is_sharded", None)
    return own is not None and bool(own(value))


def layout_of(held: Any) -> Any:
    """Return the shape, dtype and sharding of a held value for which `is_sharded` is true."""
    own: Any = backend()
    return own.layout_of(held)


def is_spread(value: Any) -> bool:
    """Tell whether other processes hold parts of a value that this process does not."""
    own = getattr(backend(), "is_spread", None)
    return own is not None and bool(own(_plain({"": value})[""]))


def gather(value: Any) -> Array:
    """Return the whole of a value that is spread over processes (a collective call)."""
    own: Any = backend()
    whole: Array = own.gather(_plain({"": value})[""])
    return whole


def from_parts(layout: Any, read: Callable[[Index], Array]) -> Any:
    """Return a new array on several devices; each process reads its own parts.

    Args:
        layout: What `layout_of` returned.
        read: Returns a part of the new array.
    """
    own: Any = backend()
    return own.from_parts(layout, read)


def to_host(held: Any) -> Array:
    """Return a held value as a NumPy array, transferring it if it lies on a device."""
    return held if isinstance(held, np.ndarray) else backend().to_host(held)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return the shape and dtype of a variable or held value as a NumPy array."""
    held = held.value if isinstance(held, VARIABLE) else held
    if isinstance(held, np.ndarray | ShardedArray):
        return held.shape, held.dtype
    return backend().shape_and_dtype(held)


def numpy_views(values: Mapping[str, Any]) -> dict[str, Array]:
    """Return each variable, tensor or array as a NumPy array, by the same names and in order."""
    return {name: to_host(held) for name, held in hold(values).items()}


def copy_now(value: Any) -> Array:
    """Return the current value as an array that no later change reaches."""
    return ensure_copy(numpy_views({"": value})[""])


def ensure_copy(array: Array) -> Array:
    """Return the array itself if assigning variables cannot change it, else a copy."""
    return array.copy() if array.flags.writeable else array


def to_numpy(value: Any) -> Any:
    """Return the value of a tensor or variable as a NumPy array."""
    own_copy = getattr(backend(), "own_copy", None)
    return np.asarray(keras.ops.convert_to_numpy(value if own_copy is None else own_copy(value)))
