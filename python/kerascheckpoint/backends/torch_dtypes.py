"""PyTorch's dtypes as those of NumPy and ml_dtypes, and tensors as bytes."""

import functools
from typing import Any

import ml_dtypes
import numpy as np
import torch

# NumPy itself has no such dtypes: their bits pass as whole numbers.
FOREIGN = {
    getattr(torch, name): np.dtype(getattr(ml_dtypes, name))
    for name in (
        *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
        "float8_e8m0fnu",
    )
    if hasattr(torch, name) and hasattr(ml_dtypes, name)
}


@functools.cache
def numpy_dtype(dtype: Any) -> "np.dtype[Any]":
    """Return the dtype of NumPy (or ml_dtypes) for one of PyTorch."""
    known = FOREIGN.get(dtype)
    return torch.empty(0, dtype=dtype).numpy().dtype if known is None else known


def bytes_of(tensor: Any) -> Any:
    """Return the bytes of a contiguous tensor as one of a single dimension."""
    return tensor.reshape(-1).view(torch.uint8)


def without_float8(tensor: Any) -> Any:
    """Return a tensor itself, or over the same memory as bytes if few operations know its dtype."""
    return tensor.view(torch.uint8) if "float8" in str(tensor.dtype) else tensor
