"""Encode the state of a callback or a loader as JSON, without pickle.

Arrays stay arrays, for `arrays.take_out` to handle.
"""

import base64
import importlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from .arrays import KEY


class NotSavableError(Exception):
    """A value is neither JSON nor an array."""


def encode(value: Any, *, copy: bool = True) -> Any:
    """Encode numbers, strings, bytes, arrays, tensors, and lists, tuples and dicts of these.

    Args:
        value: The value.
        copy: Whether to copy arrays, because their owner may change them while a file is written.

    Raises:
        NotSavableError: If the value is, or contains, anything else.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and not isinstance(value, np.generic):
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [encode(item, copy=copy) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, copy=copy) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [encode(list(pair), copy=copy) for pair in value.items()]}
    try:
        is_numpy = isinstance(value, np.ndarray | np.generic)
        array = np.asarray(value if is_numpy else to_numpy(value))
    except Exception:
        array = np.asarray(None)
    if array.dtype.kind not in "biufc" and array.dtype.name != "bfloat16":
        raise NotSavableError(f"{type(value).__name__} is neither JSON nor an array")
    encoded = {KEY: array.copy() if copy else array}
    return {"tensor": encoded} if _is_tensor(value) else encoded


def _is_tensor(value: Any) -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def decode(value: Any) -> Any:
    """Return the value that `encode` was given, with NumPy arrays, or tensors of PyTorch's."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float.fromhex(content)
    if kind == "bytes":
        return base64.b64decode(content, validate=True)
    if kind == "tensor":
        torch: Any = importlib.import_module("torch")
        return torch.as_tensor(decode(content))
    if kind == "tuple":
        return tuple(decode(item) for item in content)
    if kind == "dict":
        return {decode(key): decode(item) for key, item in content}
    if kind != KEY or not isinstance(content, np.ndarray):
        raise ValueError(f"unknown kind of value {kind!r:.99}")
    return content[()] if content.shape == () else content
