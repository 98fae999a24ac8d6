"""The state of a model at one instant, without Keras: its objects, its arrays, its config."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

STATE = "kerascheckpoint/"
"""What the name of an array begins with that is not the model's: one of a callback, say.

Keras looks into no group of a file that the model has no object for.
"""


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Name (the full HDF5 path), shape and dtype of one stored array."""

    name: str
    shape: tuple[int, ...]
    dtype: "np.dtype[np.generic]"

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes."""
        return math.prod(self.shape) * self.dtype.itemsize


Index = tuple[slice, ...]
"""A part of an array: for each axis a slice with a begin and an end, and without a step."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """A part of an array: where it lies in it, and its values, a NumPy or a device's array."""

    index: Index
    values: Any


@dataclasses.dataclass(frozen=True)
class ShardedArray:
    """An array in parts of one shape, several of which may lie in other processes.

    Attributes:
        shape: The shape of the whole.
        dtype: The dtype of the whole.
        shard_shape: The shape of each part.
        shards: The parts that this process is the one to write, each part of the whole being
            written by one process.
    """

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    shard_shape: tuple[int, ...]
    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True)
class ObjectGroup:
    """One object of the model: its HDF5 path and the attribute `name` that Keras gives it."""

    path: str
    name: str | None

    @property
    def variables(self) -> str:
        """Path of the subgroup that holds the object's arrays."""
        return f"{self.path}/vars" if self.path else "vars"


@dataclasses.dataclass(frozen=True)
class Structure:
    """Everything that determines the layout of a file."""

    groups: tuple[ObjectGroup, ...]
    arrays: tuple[ArraySpec, ...]


@dataclasses.dataclass(frozen=True)
class ModelSnapshot:
    """Everything that a file holds, without Keras.

    Attributes:
        groups: The objects of the model.
        arrays: Arrays by full HDF5 path: NumPy's, or a device's until they are on the host, or
            sharded arrays of such ones.
        specs: Shape and dtype of each array, in the same order.
        config: The text of `config.json`; `None` for weights only.
        metadata: What Keras puts into `metadata.json`.
        assets: Contents of asset files by their path below `assets/`.
        tree: For each array that is a variable, its keys in Keras' nested state, the kind first.
        is_lasting: Whether an array stays valid when the next one is read.
    """

    groups: tuple[ObjectGroup, ...]
    arrays: Mapping[str, Any]
    specs: tuple[ArraySpec, ...]
    config: str | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    tree: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    is_lasting: bool = True

    @property
    def structure(self) -> Structure:
        """Everything that determines the layout of the weights."""
        return Structure(self.groups, self.specs)

    def with_arrays(self, arrays: "Mapping[str, np.ndarray[Any, Any]]") -> "ModelSnapshot":
        """Return a snapshot that holds more arrays, with names that begin with `STATE`."""
        if not arrays:
            return self
        specs = (ArraySpec(name, array.shape, array.dtype) for name, array in arrays.items())
        return dataclasses.replace(
            self, arrays={**self.arrays, **arrays}, specs=(*self.specs, *specs)
        )


@dataclasses.dataclass(frozen=True)
class OnlyKeras:
    """Says that only Keras itself can save a model, and why."""

    reason: str
