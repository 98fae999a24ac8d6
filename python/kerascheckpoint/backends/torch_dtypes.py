"""Conversion of PyTorch dtypes to those of NumPy and ml_dtypes, and of tensors to bytes."""

import functools
from typing import Any

import ml_dtypes
import numpy as np
import torch

# NumPy lacks these dtypes, so their bits are passed on as integers.
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
    """Return the NumPy or ml_dtypes dtype for a PyTorch dtype."""
    known = FOREIGN.get(dtype)
    return torch.empty(0, dtype=dtype).numpy().dtype if known is None else known


def bytes_of(tensor: Any) -> Any:
    """Return the bytes of a contiguous tensor as a one-dimensional tensor."""
    return tensor.reshape(-1).view(torch.uint8)


def without_float8(tensor: Any) -> Any:
    """Return a tensor; one of float8, which few operations support, viewed as bytes."""
    return tensor.view(torch.uint8) if "float8" in str(tensor.dtype) else tensor
