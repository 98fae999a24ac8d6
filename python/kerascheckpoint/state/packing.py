"""Arrays as JSON values, without loss."""

import base64
from typing import Any

import numpy as np


def pack(array: Any) -> list[Any]:
    """Return an array as a JSON value, without loss: dtype, shape and base64 text."""
    text = base64.b64encode(array.tobytes()).decode()
    return [array.dtype.name, list(array.shape), text]


def unpack(packed: list[Any]) -> Any:
    """Return the array that `pack` was given."""
    name, shape, text = packed
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    return np.frombuffer(base64.b64decode(text), np.dtype(name)).reshape(shape).copy()
