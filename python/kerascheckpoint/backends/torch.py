"""Arrays of PyTorch, which updates its tensors in place."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .base import Array
from .torch_copies import Copier
from .torch_dtypes import FOREIGN, bytes_of, numpy_dtype

KEEPS_VALUES = False


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Detach all tensors; see `backends.arrays.hold`."""
    return {name: _held(value) for name, value in values.items()}


def to_host(held: Any) -> Array:
    """Return a tensor as a NumPy array, over the same memory if that is host memory."""
    tensor = held.cpu().contiguous()
    if tensor.dtype not in FOREIGN:
        array: Array = tensor.numpy()
        return array
    bits: Array = bytes_of(tensor).numpy()
    return bits.view(FOREIGN[tensor.dtype]).reshape(tensor.shape)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return the shape and dtype of a tensor."""
    return tuple(held.shape), numpy_dtype(held.dtype)


def is_on_device(value: Any) -> bool:
    """Tell whether a tensor lies in the memory of a GPU or other accelerator."""
    return bool(value.device.type != "cpu")


def _held(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    if not hasattr(value, "detach"):
        return np.asarray(keras.ops.convert_to_numpy(value))
    tensor = value.detach()
    return tensor if is_on_device(tensor) else to_host(tensor)


new_copier = Copier
