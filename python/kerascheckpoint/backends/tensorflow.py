"""Arrays of TensorFlow: a read of a variable is an alias, and training does not change it."""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .base import Array

KEEPS_VALUES = True


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read all variables at once; see `backends.arrays.hold`."""
    return {name: _held(value) for name, value in (dict(values) | _reads(values)).items()}


def to_host(held: Any) -> Array:
    """Return a tensor as a NumPy array: an alias of it if it lies in the host's memory."""
    try:
        return np.asarray(held)
    except ValueError:  # a single number of a dtype that NumPy itself does not know
        return np.asarray(held.numpy(), held.dtype.as_numpy_dtype)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return those of a tensor."""
    return tuple(held.shape), np.dtype(held.dtype.as_numpy_dtype)


def is_on_device(value: Any) -> bool:
    """Tell whether a tensor or variable lies in the memory of a GPU or its like."""
    if not _has_devices():
        return False
    device = str(getattr(value, "backing_device", None) or getattr(value, "device", ""))
    return "GPU" in device or "TPU" in device


@functools.cache
def _has_devices() -> bool:
    return any(device.device_type != "CPU" for device in tf.config.list_logical_devices())


def _held(value: Any) -> Any:
    if isinstance(value, np.ndarray) or is_on_device(value):
        return value
    if hasattr(value, "__array__"):
        return to_host(value)  # convert_to_numpy() would copy
    return np.asarray(keras.ops.convert_to_numpy(value))


def _reads(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors that the variables among `values` hold now."""
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


class Copier:
    """Needs no copy on the device: an alias keeps its value until it is let go.

    A variable that training updates while an alias is held takes fresh memory on the device, so
    each alias is let go as soon as it has been brought to the host.
    """

    problem: str | None = None

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Do nothing: TensorFlow keeps memory for transfers itself."""

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return nothing: TensorFlow has no public way to ask for a device's free memory."""
        return []

    def copy(self, values: Sequence[Any]) -> "_Aliases":
        """Hold the aliases."""
        return _Aliases(values)

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> "_Aliases":
        """Hold the aliases; `wait` brings them to the host."""
        return _Aliases(values)


class _Aliases:
    """Tensors that keep their values: the copies and their transfer in one."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)[::-1]

    def to_host(self, places: Sequence[int], size: int) -> "_Aliases":
        return self

    def wait(self) -> list[Array]:
        arrays = []
        while self._values:
            arrays.append(to_host(self._values.pop()))
        return arrays

    def release(self) -> None:
        """Do nothing: each alias goes when it is on the host, or with this object."""


new_copier = Copier
