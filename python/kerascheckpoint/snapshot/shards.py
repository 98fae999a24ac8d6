"""Split sharded arrays into separately named shards, and join them again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..model_state import ShardedArray


def split(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays by name, with every sharded array replaced by its shards."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if isinstance(array, ShardedArray):
            for number, shard in enumerate(array.shards):
                found[_name(name, number)] = shard.values
        else:
            found[name] = array
    return found


def sharded_in_memory(arrays: Mapping[str, Any]) -> dict[str, ShardedArray]:
    """Return the sharded arrays among `arrays` whose shards lie in host memory."""
    return {
        name: array
        for name, array in arrays.items()
        if isinstance(array, ShardedArray)
        and all(isinstance(shard.values, np.ndarray) for shard in array.shards)
    }


def layouts(arrays: Mapping[str, Any]) -> dict[str, ShardedArray]:
    """Return the layouts of the sharded arrays among `arrays`, without the shards' values."""
    return {
        name: dataclasses.replace(
            array, shards=tuple(dataclasses.replace(s, values=None) for s in array.shards)
        )
        for name, array in arrays.items()
        if isinstance(array, ShardedArray)
    }


def join(layouts: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `split`: return arrays in the order of `layouts`, with shards joined again.

    Args:
        layouts: The arrays before they were split; only their names and shard indices are used.
        arrays: What `split` returned, or copies of it.
    """
    joined: dict[str, Any] = {}
    for name, layout in layouts.items():
        if isinstance(layout, ShardedArray):
            shards = [
                dataclasses.replace(shard, values=arrays[_name(name, number)])
                for number, shard in enumerate(layout.shards)
            ]
            joined[name] = dataclasses.replace(layout, shards=tuple(shards))
        else:
            joined[name] = arrays[name]
    return joined


def _name(name: str, number: int) -> str:
    return f"{name}#{number}"  # no array name has a "#" after its last slash
