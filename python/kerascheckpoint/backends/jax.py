"""Arrays of JAX. The next step reuses the memory of those that are donated to it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
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


def hold_parts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `hold_shards` does, but sharded arrays in host memory as they are."""
    in_memory = {name: v for name, v in values.items() if is_sharded(v) and not is_on_device(v)}
    rest = {name: value for name, value in values.items() if name not in in_memory}
    return dict.fromkeys(values) | hold_shards(rest) | in_memory


def start_copies(held: Mapping[str, Any]) -> dict[str, Any]:
    """Start to copy sharded arrays in host memory.

    JAX' own threads copy. A training step that needs the memory of an array waits for its copy.
    """
    groups: dict[Any, dict[str, Any]] = {}
    for name, value in held.items():
        if is_sharded(value) and not is_on_device(value):
            groups.setdefault(value.sharding, {})[name] = value
    copies: dict[str, Any] = {}
    for sharding, group in groups.items():  # one sharding for a list takes less time than a list
        copies |= zip(group, _copied(list(group.values()), sharding), strict=True)
    return copies


def _copied(arrays: list[Any], sharding: Any) -> list[Any]:
    copies: list[Any] = jax.device_put(arrays, sharding, may_alias=False)
    if _address(copies[0]) == _address(arrays[0]):  # JAX 0.4 does not copy to the same place
        copies = jax.jit(_copy_all)(arrays)
    return copies


def _address(array: Any) -> int:
    return int(array.addressable_data(0).unsafe_buffer_pointer())


def _copy_all(arrays: list[Any]) -> list[Any]:
    return [jnp.copy(array) for array in arrays]


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
    shards = [
        Shard(_bounded(shard.index, value.shape), _held(shard.data))
        for shard in value.addressable_shards
        if shard.replica_id == 0
    ]
    shard_shape = value.sharding.shard_shape(value.shape)
    return ShardedArray(value.shape, np.dtype(value.dtype), shard_shape, tuple(shards))


def _bounded(index: Index, shape: tuple[int, ...]) -> Index:
    """Return an index whose slices all have a start and a stop."""
    bounds = [part.indices(length) for part, length in zip(index, shape, strict=True)]
    return tuple(slice(start, stop) for start, stop, _ in bounds)


new_copier = Copier
