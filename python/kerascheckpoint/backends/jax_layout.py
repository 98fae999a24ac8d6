"""How JAX arrays are divided for a copy: into shards, of which small ones are stacked.

Moving an array to the host costs JAX some 50 microseconds, whatever its size. So small arrays of
one shape and dtype are moved as one.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from .base import Array

_SMALL = 1 << 18  # bytes; larger arrays are not stacked
_MOST = 64  # arrays of a stack; compiling larger stacks takes seconds

Index = tuple[slice, ...]
Stack = tuple[int, ...]  # positions of the shards that are moved as one


@dataclasses.dataclass(frozen=True)
class _Divided:
    """An array as its shards: each part of it once, on one device."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    places: dict[Any, Index | None]


class Layout:
    """The shards of arrays of certain shapes, dtypes and shardings, and their stacks.

    Attributes:
        needed: Bytes that a copy takes, by device.
        stacks: For each array that `copy` returns, the shards that it holds.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        """Divide arrays. The values themselves may already be donated to a training step."""
        self._arrays = [_divided(value) for value in values]
        self._is_whole = all(_is_whole(value) for value in values)
        self._specs = [spec for array in self._arrays for spec in _specs(array)]
        self._compiled: list[Any] = []
        self.needed: dict[Any, int] = {}
        for spec in self._specs:
            device = _device(spec)
            self.needed[device] = self.needed.get(device, 0) + _size(spec)
        self._stacks = {device: list(self._stacks_on(device)) for device in self.needed}
        self.stacks = [stack for stacks in self._stacks.values() for stack in stacks]

    def shards(self, values: Sequence[Any]) -> list[Any]:
        """Return the shards of arrays of this layout."""
        if self._is_whole:
            return list(values)
        return [
            shard
            for value, array in zip(values, self._arrays, strict=True)
            for shard in _shards(value, array)
        ]

    def copies(self) -> list[Any]:
        """Return the specs of what `copy` returns."""
        specs = []
        for stack in self.stacks:
            spec = self._specs[stack[0]]
            shape = (len(stack), *spec.shape) if len(stack) > 1 else spec.shape
            specs.append(jax.ShapeDtypeStruct(shape, spec.dtype, sharding=spec.sharding))
        return specs

    def compile(self) -> None:
        """Compile the copy, with one function for each device."""
        if not self._compiled:
            for stacks in self._stacks.values():
                specs = [[self._specs[at] for at in stack] for stack in stacks]
                self._compiled.append(jax.jit(_copy).lower(specs).compile())

    def copy(self, values: Sequence[Any]) -> list[Any]:
        """Start to copy arrays, on each device in one dispatch; return an array for each stack."""
        self.compile()
        shards, copies = self.shards(values), []
        for stacks, copy in zip(self._stacks.values(), self._compiled, strict=True):
            copies += copy([[shards[at] for at in stack] for stack in stacks])
        return copies

    def assembled(self, stacks: Sequence[Stack], on_host: Sequence[Array]) -> list[Array]:
        """Return the arrays of this layout.

        Args:
            stacks: The shards that each array of `on_host` holds.
            on_host: Stacks, or single shards.
        """
        shards: list[Any] = [None] * len(self._specs)
        for stack, array in zip(stacks, on_host, strict=True):
            if len(stack) == 1:
                shards[stack[0]] = array
            else:
                for number, at in enumerate(stack):
                    shards[at] = array[number, ...]
        rest = iter(shards)
        return [_assembled(array, rest) for array in self._arrays]

    def _stacks_on(self, device: Any) -> Iterator[Stack]:
        groups: dict[Any, list[int]] = {}
        for at, spec in enumerate(self._specs):
            if _device(spec) == device:
                kind = (spec.shape, spec.dtype) if _size(spec) <= _SMALL else at
                groups.setdefault(kind, []).append(at)
        for group in groups.values():
            for start in range(0, len(group), _MOST):
                yield tuple(group[start : start + _MOST])


def _copy(stacks: list[list[Any]]) -> list[Any]:
    return [jnp.stack(each) if len(each) > 1 else jnp.copy(each[0]) for each in stacks]


def _is_whole(value: Any) -> bool:
    return len(value.sharding.device_set) == 1


def _divided(value: Any) -> _Divided:
    sharding = value.sharding
    places: dict[Any, Index | None] = {}
    if sharding.is_fully_replicated:
        places[min(sharding.addressable_devices, key=lambda device: device.id)] = None
    else:
        for device, index in sharding.addressable_devices_indices_map(value.shape).items():
            if index not in places.values():
                places[device] = index
    return _Divided(tuple(value.shape), np.dtype(value.dtype), places)


def _specs(array: _Divided) -> Iterator[Any]:
    for device, index in array.places.items():
        shape = array.shape
        if index is not None:
            parts = zip(index, shape, strict=True)
            shape = tuple(len(range(*part.indices(length))) for part, length in parts)
        yield jax.ShapeDtypeStruct(shape, array.dtype, sharding=SingleDeviceSharding(device))


def _shards(value: Any, array: _Divided) -> list[Any]:
    if _is_whole(value):
        return [value]
    shards = {shard.device: shard.data for shard in value.addressable_shards}
    return [shards[device] for device in array.places]


def _assembled(array: _Divided, shards: Iterator[Array]) -> Array:
    if [*array.places.values()] == [None]:
        return next(shards)
    whole = np.empty(array.shape, array.dtype)
    for index, shard in zip(array.places.values(), shards, strict=False):
        whole[index] = shard
    return whole


def _device(spec: Any) -> Any:
    (device,) = spec.sharding.device_set
    return device


def _size(spec: Any) -> int:
    size: int = math.prod(spec.shape) * spec.dtype.itemsize
    return size
