"""Arrays of JAX, whose memory the next step takes over where they are donated to it."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import keras
import numpy as np

from .base import Array
from .jax_copies import Copier

KEEPS_VALUES = False


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return views of what lies in the host's memory; see `backends.arrays.hold`."""
    return {name: _held(value) for name, value in values.items()}


def to_host(held: Any) -> Array:
    """Return an array as one of NumPy, over the same memory if it lies in the host's."""
    return np.asarray(held)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return those of an array."""
    return tuple(held.shape), np.dtype(held.dtype)


def is_on_device(value: Any) -> bool:
    """Tell whether an array lies in the memory of a GPU or its like."""
    if _has_only_processors() or not isinstance(value, jax.Array):
        return False
    platforms: set[str] = {device.platform for device in value.devices()}
    return platforms != {"cpu"}


@functools.cache
def _has_only_processors() -> bool:
    platform: str = jax.default_backend()  # takes a while, and does not change
    return platform == "cpu"


def _held(value: Any) -> Any:
    if isinstance(value, np.ndarray) or is_on_device(value):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value)  # convert_to_numpy() would copy
    return np.asarray(keras.ops.convert_to_numpy(value))


new_copier = Copier
