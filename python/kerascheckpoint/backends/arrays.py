"""NumPy arrays over the current values of variables, without a copy wherever the backend allows.

On TensorFlow a read of a variable is an alias that keeps its value when training goes on
(copy-on-write). JAX reuses the memory of donated arrays and PyTorch updates in place, so their
views hold only until the next batch (see `warm_memory`).
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ..keras_seam.private import BACKEND

Array = np.ndarray[Any, Any]


def numpy_views(values: Mapping[str, Any]) -> dict[str, Array]:
    """Return an array for each variable, tensor or array, under the same name and in that order."""
    plain = {
        name: value.value if isinstance(value, keras.Variable) else value
        for name, value in values.items()
    }
    if BACKEND == "tensorflow":
        plain |= _tensorflow_reads(plain)
    elif BACKEND == "jax":
        _begin_fetching(plain.values())
    return {name: _view(value) for name, value in plain.items()}


def copy_now(value: Any) -> Array:
    """Return an array that keeps the value of now, whatever code that stores it does next."""
    return ensure_copy(numpy_views({"": value})[""])


def ensure_copy(array: Array) -> Array:
    """Return an array that keeps its value when variables are assigned: itself, or a copy."""
    return array.copy() if array.flags.writeable else array


def _view(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    if BACKEND == "torch" and hasattr(value, "detach"):
        return _torch_view(value.detach())
    if BACKEND in ("jax", "tensorflow") and hasattr(value, "__array__"):
        return np.asarray(value)  # convert_to_numpy() would copy
    return np.asarray(keras.ops.convert_to_numpy(value))


def _begin_fetching(values: Iterable[Any]) -> None:
    """Let all copies from a GPU begin before the first of them is waited for."""
    import jax

    if jax.default_backend() != "cpu":
        for value in values:
            if isinstance(value, jax.Array):
                value.copy_to_host_async()


def _tensorflow_reads(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors that the variables among `values` hold now."""
    import tensorflow as tf

    variables = {name: value for name, value in values.items() if isinstance(value, tf.Variable)}
    distributed = any(isinstance(v, tf.distribute.DistributedValues) for v in variables.values())
    if not distributed:
        with contextlib.suppress(ImportError, AttributeError, tf.errors.OpError):
            tensors = _read_at_once(list(variables.values()))
            return dict(zip(variables, tensors, strict=True))
    # Distributed variables choose the device themselves, and those of several cannot be read so.
    return {name: variable.read_value() for name, variable in variables.items()}


def _read_at_once(variables: Sequence[Any]) -> list[Any]:
    """Read variables by one operation of TensorFlow; one for each takes seven times longer.

    TensorFlow has no public name for this operation. Seen in TensorFlow 2.16 to 2.21.
    """
    from tensorflow.python.eager import context, execute

    handles = [variable.handle for variable in variables]
    dtypes = [variable.dtype.as_datatype_enum for variable in variables]
    attributes = ("N", len(handles), "dtypes", dtypes)
    tensors: list[Any] = execute.execute(
        b"_ReadVariablesOp", len(handles), handles, attributes, context.context()
    )
    return tensors


def _torch_view(tensor: Any) -> Array:
    import ml_dtypes
    import torch

    tensor = tensor.cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # NumPy itself has no such dtype
        bits: Array = tensor.view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    array: Array = tensor.numpy()
    return array


def to_numpy(value: Any) -> Any:
    """Return a tensor's or variable's value as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(value))
