"""Copies of JAX arrays: on their device by one compiled function, then into pinned host memory.

JAX allocates pinned memory through a memory kind and keeps it for the next transfer. So JAX chooses
where arrays lie there; they cannot be laid out as in the file.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from .base import Array

_KIND = "pinned_host"
_KEPT = 4  # compiled functions; a model needs a new one if its variables change

Index = tuple[slice, ...]


@dataclasses.dataclass(frozen=True)
class _Sharded:
    """An array as its shards: each part once, as an array on a single device."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    indices: list[Index | None]
    shards: list[Any]


class Copier:
    """Copies arrays of any devices, shard by shard."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._compiled: dict[Any, Any] = {}
        self._peaks: dict[Any, int] = {}

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Compile the copy of these arrays and have JAX allocate pinned memory for them."""
        specs = [spec for value in values for spec in _shard_specs(value)]
        for group in _by_device(specs).values():
            self._copying([specs[place] for place in group])
        kinds = [_pinned(spec.sharding) for spec in specs]
        if None not in kinds:
            blank = [np.zeros(spec.shape, spec.dtype) for spec in specs]
            jax.block_until_ready(jax.device_put(blank, kinds))

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return each device's memory, counting training's peak before the first copy as in use.

        A device that does not report its memory counts as full, because a save must not make
        training run out of memory.
        """
        specs = [spec for value in values for spec in _shard_specs(value)]
        answers = []
        for device, group in _by_device(specs).items():
            needed = sum(specs[place].size * specs[place].dtype.itemsize for place in group)
            stats = device.memory_stats() or {}
            limit, used = stats.get("bytes_limit", 0), stats.get("bytes_in_use", 0)
            peak = self._peaks.setdefault(device, stats.get("peak_bytes_in_use", used))
            answers.append((needed, limit - max(used, peak), limit))
        return answers

    def copy(self, values: Sequence[Any]) -> "_Copies":
        """Copy all arrays of a device in one dispatch."""
        arrays = [_split(value) for value in values]
        shards = [shard for array in arrays for shard in array.shards]
        copies: list[Any] = [None] * len(shards)
        for group in _by_device(shards).values():
            mine = [shards[place] for place in group]
            for place, copied in zip(group, self._copying(mine)(mine), strict=True):
                copies[place] = copied
        rest = iter(copies)
        return _Copies(
            self,
            [dataclasses.replace(a, shards=[next(rest) for _ in a.shards]) for a in arrays],
        )

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> "_Transfer":
        """Start all transfers; JAX reuses no array's memory before its transfer has ended."""
        return self.send([_split(value) for value in values])

    def send(self, arrays: list[_Sharded]) -> "_Transfer":
        """Start to transfer all shards to pinned memory, or copy them to ordinary memory now."""
        shards = [shard for array in arrays for shard in array.shards]
        kinds = [_pinned(shard.sharding) for shard in shards]
        if None in kinds:
            self.problem = f"JAX offers no {_KIND} memory for this device"
        else:
            try:
                return _Transfer(arrays, jax.device_put(shards, kinds))
            except RuntimeError as error:  # from jaxlib: out of memory, or no memory of this kind
                self.problem = str(error)
        return _Transfer(arrays, [np.array(shard) for shard in shards])

    def _copying(self, arrays: Sequence[Any]) -> Any:
        """Return the compiled copy function for arrays of these shapes, dtypes and shardings."""
        key = tuple((array.shape, array.dtype, array.sharding) for array in arrays)
        if key not in self._compiled:
            while len(self._compiled) >= _KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            specs = [jax.ShapeDtypeStruct(*each[:2], sharding=each[2]) for each in key]
            self._compiled[key] = jax.jit(_copy_all).lower(specs).compile()
        return self._compiled[key]


class _Copies:
    """Copies that only this object refers to, so that releasing them frees their memory."""

    def __init__(self, copier: Copier, arrays: list[_Sharded]) -> None:
        self._copier, self._arrays = copier, arrays

    def to_host(self, places: Sequence[int], size: int) -> "_Transfer":
        return self._copier.send(self._arrays)

    def release(self) -> None:
        self._arrays = []


class _Transfer:
    """Shards being transferred; JAX keeps their sources alive until they have arrived."""

    def __init__(self, arrays: list[_Sharded], on_host: list[Any]) -> None:
        self._arrays = [dataclasses.replace(array, shards=[]) for array in arrays]
        self._on_host = on_host

    def wait(self) -> list[Array]:
        jax.block_until_ready(self._on_host)
        views = iter([_view(shard) for shard in self._on_host])
        return [_assemble(array, [next(views) for _ in array.indices]) for array in self._arrays]

    def release(self) -> None:
        self._arrays, self._on_host = [], []


class _PinnedBytes:
    """The bytes of an array in host memory. A NumPy view of them keeps the array alive."""

    def __init__(self, array: Any) -> None:
        self._array = array
        place = (array.unsafe_buffer_pointer(), True)
        self.__array_interface__ = {
            **{"shape": (array.size * array.dtype.itemsize,), "typestr": "|u1"},
            **{"data": place, "version": 3},
        }


def _copy_all(arrays: list[Any]) -> list[Any]:
    return [jnp.copy(array) for array in arrays]


def _view(array: Any) -> Array:
    """Return a NumPy array over the memory of a JAX array, where `np.asarray` might copy.

    JAX may pack numbers smaller than a byte; NumPy does not, so those are converted.
    """
    if isinstance(array, np.ndarray) or not array.size or not _is_plain(array):
        return np.asarray(array)
    data: Array = np.asarray(_PinnedBytes(array))
    view: Array = data.view(array.dtype).reshape(array.shape)
    return view


def _assemble(array: _Sharded, views: list[Array]) -> Array:
    if array.indices == [None]:
        return views[0]
    whole = np.empty(array.shape, array.dtype)
    for index, view in zip(array.indices, views, strict=True):
        whole[index] = view
    return whole


def _is_whole(value: Any) -> bool:
    return len(value.sharding.device_set) == 1


def _shard_places(value: Any) -> dict[Any, Index | None]:
    """Return devices of this process whose shards form the whole array, with their indices."""
    sharding = value.sharding
    if sharding.is_fully_replicated:
        return {min(sharding.addressable_devices, key=lambda device: device.id): None}
    places: dict[Any, Index] = {}
    for device, index in sharding.addressable_devices_indices_map(value.shape).items():
        if index not in places.values():
            places[device] = index
    return dict(places)


def _shard_specs(value: Any) -> list[Any]:
    """Return the specs of what `_split` returns, without the data, which may already be donated."""
    if _is_whole(value):
        return [jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)]
    return [
        jax.ShapeDtypeStruct(
            value.shape if index is None else value.sharding.shard_shape(value.shape),
            value.dtype,
            sharding=SingleDeviceSharding(device),
        )
        for device, index in _shard_places(value).items()
    ]


def _split(value: Any) -> _Sharded:
    if _is_whole(value):
        return _Sharded(value.shape, value.dtype, [None], [value])
    places = _shard_places(value)
    shards = {shard.device: shard.data for shard in value.addressable_shards}
    return _Sharded(value.shape, value.dtype, [*places.values()], [shards[at] for at in places])


def _by_device(arrays: Sequence[Any]) -> dict[Any, list[int]]:
    """Return the positions in `arrays` of those on each device, ordered by dtype and shape."""
    groups: dict[Any, list[int]] = {}
    for place, array in enumerate(arrays):
        (device,) = array.sharding.device_set
        groups.setdefault(device, []).append(place)
    for group in groups.values():
        group.sort(key=lambda place: (arrays[place].dtype.num, arrays[place].shape))
    return groups


def _is_plain(array: Any) -> bool:
    """Tell whether an array's bytes in memory are laid out as in NumPy."""
    (device,) = array.sharding.device_set
    is_linear = device.platform in ("cpu", "gpu")  # other platforms may tile arrays
    return is_linear and "int4" not in str(array.dtype) and "int2" not in str(array.dtype)


def _pinned(sharding: Any) -> Any:
    """Return the sharding for pinned memory of the same device, or `None`."""
    (device,) = sharding.device_set
    return _pinned_beside(device)


@functools.cache
def _pinned_beside(device: Any) -> Any:
    if _KIND not in {memory.kind for memory in device.addressable_memories()}:
        return None
    return SingleDeviceSharding(device, memory_kind=_KIND)
