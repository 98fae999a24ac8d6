"""The values of variables: taken hold of now, and seen as NumPy arrays without a needless copy.

On TensorFlow a read of a variable is an alias that keeps its value when training goes on
(copy-on-write). JAX reuses the memory of donated arrays and PyTorch updates in place, so what is
held of theirs is good only until the next batch (see `snapshot.staging`).
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

_KNOWN = ("jax", "tensorflow", "torch")


@functools.cache
def backend() -> Backend:
    """Return the module that knows the arrays of this process's Keras backend."""
    name = BACKEND if BACKEND in _KNOWN else "other"
    return cast(Backend, importlib.import_module(f".{name}", __package__))


def is_on_device(value: Any) -> bool:
    """Tell whether a variable, tensor or array lies in the memory of a GPU or its like."""
    value = value.value if isinstance(value, VARIABLE) else value
    return not isinstance(value, np.ndarray) and backend().is_on_device(value)


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take hold of the value of each variable, tensor or array as it is now.

    Nothing is brought from a device to the host: what lies on one stays the backend's own array.
    All else is a NumPy array.

    Returns:
        The held values, under the same names and in that order.
    """
    return backend().hold(_plain(values))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.value if isinstance(value, VARIABLE) else value
        for name, value in values.items()
    }


def hold_shards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take hold of values as `hold` does; of an array on several devices, shard by shard.

    Returns:
        The held values, and a `ShardedArray` of such ones for each sharded array.
    """
    own = getattr(backend(), "hold_shards", None)
    return hold(values) if own is None else dict(own(_plain(values)))


def is_spread(value: Any) -> bool:
    """Tell whether parts of a variable's value lie in other processes alone."""
    own = getattr(backend(), "is_spread", None)
    return own is not None and bool(own(_plain({"": value})[""]))


def gather(value: Any) -> Array:
    """Return the whole of a value that is spread over processes: a collective call."""
    own: Any = backend()
    whole: Array = own.gather(_plain({"": value})[""])
    return whole


def from_parts(like: Any, read: Callable[[Index], Array]) -> Any:
    """Return an array that is spread over processes as another one; each reads its own parts.

    Args:
        like: A value for which `is_spread` is true.
        read: Returns a part of the new array.
    """
    own: Any = backend()
    return own.from_parts(_plain({"": like})[""], read)


def to_host(held: Any) -> Array:
    """Return a held value as a NumPy array; wait for its transfer if it lies on a device."""
    return held if isinstance(held, np.ndarray) else backend().to_host(held)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return the shape and the dtype that a variable or held value has as a NumPy array."""
    held = held.value if isinstance(held, VARIABLE) else held
    if isinstance(held, np.ndarray | ShardedArray):
        return held.shape, held.dtype
    return backend().shape_and_dtype(held)


def numpy_views(values: Mapping[str, Any]) -> dict[str, Array]:
    """Return an array for each variable, tensor or array, under the same name and in that order."""
    return {name: to_host(held) for name, held in hold(values).items()}


def copy_now(value: Any) -> Array:
    """Return an array that keeps the value of now, whatever code that stores it does next."""
    return ensure_copy(numpy_views({"": value})[""])


def ensure_copy(array: Array) -> Array:
    """Return an array that keeps its value when variables are assigned: itself, or a copy."""
    return array.copy() if array.flags.writeable else array


def to_numpy(value: Any) -> Any:
    """Return a tensor's or variable's value as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(value))
