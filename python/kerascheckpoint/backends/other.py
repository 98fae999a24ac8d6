"""Arrays of any other Keras backend, as Keras converts them."""

from collections.abc import Mapping
from typing import Any, NoReturn

import keras
import numpy as np

from .base import Array

KEEPS_VALUES = False


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all values as NumPy arrays."""
    return {name: to_host(value) for name, value in values.items()}


def is_on_device(value: Any) -> bool:
    """Return False."""
    return False


def to_host(held: Any) -> Array:
    """Return a value as Keras converts it."""
    return np.asarray(keras.ops.convert_to_numpy(held))


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return the shape and dtype of the converted value."""
    array = to_host(held)
    return array.shape, array.dtype


def new_copier() -> NoReturn:
    """Raise, because `hold` leaves nothing on a device."""
    raise NotImplementedError("this backend's arrays lie in host memory")
