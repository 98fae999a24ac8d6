"""Arrays of JAX. The next step reuses the memory of those that are donated to it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from ..model_state import Index, Shard, ShardedArray
from .base import Array
from .jax_copies import Copier

KEEPS_VALUES = False


def hold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return NumPy views of values in host memory; see `backends.arrays.hold`."""
    return {name: _held(value) for name, value in values.items()}


def hold_shards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `hold` does, but sharded arrays as the shards that this process writes."""
    jax.block_until_ready(list(values.values()))  # which lets other threads run, unlike NumPy
    return {
        name: _held_shards(value) if is_sharded(value) else _held(_one_copy(value))
        for name, value in values.items()
    }


def hold_in_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `hold` does, but sharded arrays as they are."""
    return {
        name: value if is_sharded(value) else _held(_one_copy(value))
        for name, value in values.items()
    }


def is_sharded(value: Any) -> bool:
    """Tell whether an array is split over several devices, of this process or others."""
    return (
        isinstance(value, jax.Array)
        and len(value.sharding.device_set) > 1
        and not value.is_fully_replicated
    )


def layout_of(value: Any) -> Any:
    """Return shape, dtype and sharding of an array, without its values."""
    return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)


def is_spread(value: Any) -> bool:
    """Tell whether other processes hold parts of an array that this process does not."""
    return (
        isinstance(value, jax.Array)
        and not value.is_fully_addressable
        and not value.is_fully_replicated
    )


def gather(value: Any) -> Array:
    """Return the whole of an array that is spread over processes (a collective call)."""
    return np.asarray(multihost_utils.process_allgather(value, tiled=True))


def from_parts(layout: Any, read: "Callable[[Index], Array]") -> Any:
    """Return a new array with a layout; each process reads its own parts.

    Args:
        layout: What `layout_of` returned.
        read: Returns a part of the new array.
    """
    shape, sharding = layout.shape, layout.sharding
    parts = []
    for device, index in sharding.addressable_devices_indices_map(shape).items():
        part = jax.device_put(read(_bounded(index, shape)), device)
        parts.append(part.block_until_ready())  # so that at most one part is in memory twice
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def to_host(held: Any) -> Array:
    """Return a NumPy array, over the same memory if that is host memory."""
    return np.asarray(held)


def shape_and_dtype(held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Return the shape and dtype of an array."""
    return tuple(held.shape), np.dtype(held.dtype)


def is_on_device(value: Any) -> bool:
    """Tell whether an array lies in the memory of a GPU or other accelerator."""
    if _has_only_processors() or not isinstance(value, jax.Array):
        return False
    platforms: set[str] = {device.platform for device in value.devices()}
    return platforms != {"cpu"}


@functools.cache
def _has_only_processors() -> bool:
    platform: str = jax.default_backend()  # slow, and never changes
    return platform == "cpu"


def _held(value: Any) -> Any:
    if isinstance(value, np.ndarray) or is_on_device(value) or is_spread(value):
        return value
    if hasattr(value, "__array__"):
        return np.asarray(value)  # convert_to_numpy() would copy
    return np.asarray(keras.ops.convert_to_numpy(value))


def _one_copy(value: Any) -> Any:
    """Return one device's copy of a replicated array, so that no other device is read."""
    if isinstance(value, jax.Array) and len(value.sharding.device_set) > 1:
        return value.addressable_data(0)
    return value


def _held_shards(value: Any) -> ShardedArray:
    places, on_device = _own_places(value.sharding, value.shape), is_on_device(value)
    shards = [
        Shard(places[shard.device], shard.data if on_device else np.asarray(shard.data))
        for shard in value.addressable_shards
        if shard.device in places
    ]
    shard_shape = value.sharding.shard_shape(value.shape)
    return ShardedArray(value.shape, np.dtype(value.dtype), shard_shape, tuple(shards))


@functools.lru_cache(maxsize=1024)
def _own_places(sharding: Any, shape: tuple[int, ...]) -> dict[Any, Index]:
    """Return the place of each shard that this process writes, by its device.

    The first of several devices with the same shard writes it.
    """
    places: dict[Any, Index] = {}
    for device, index in sharding.devices_indices_map(shape).items():
        place = _bounded(index, shape)
        if place not in places.values():
            places[device] = place
    return {d: place for d, place in places.items() if d in sharding.addressable_devices}


def _bounded(index: Index, shape: tuple[int, ...]) -> Index:
    """Return an index whose slices all have a start and a stop."""
    bounds = [part.indices(length) for part, length in zip(index, shape, strict=True)]
    return tuple(slice(start, stop) for start, stop, _ in bounds)


new_copier = Copier
