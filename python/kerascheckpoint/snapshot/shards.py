"""Sharded arrays as their shards, each under a name of its own, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..model_state import ShardedArray


def split(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays with each shard of a sharded one by itself."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if isinstance(array, ShardedArray):
            for number, shard in enumerate(array.shards):
                found[_name(name, number)] = shard.values
        else:
            found[name] = array
    return found


def sharded(arrays: Mapping[str, Any]) -> dict[str, ShardedArray]:
    """Return the forms of the sharded ones among arrays, without the values of their shards."""
    return {
        name: dataclasses.replace(
            array, shards=tuple(dataclasses.replace(s, values=None) for s in array.shards)
        )
        for name, array in arrays.items()
        if isinstance(array, ShardedArray)
    }


def join(forms: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays in the order of `forms`, with the shards where these are sharded.

    Args:
        forms: Arrays, of which only names and the places of shards count.
        arrays: What `split` made of arrays of these forms, brought elsewhere.
    """
    joined: dict[str, Any] = {}
    for name, form in forms.items():
        if isinstance(form, ShardedArray):
            shards = [
                dataclasses.replace(shard, values=arrays[_name(name, number)])
                for number, shard in enumerate(form.shards)
            ]
            joined[name] = dataclasses.replace(form, shards=tuple(shards))
        else:
            joined[name] = arrays[name]
    return joined


def _name(name: str, number: int) -> str:
    return f"{name}#{number}"  # no array's name has this sign behind the last slash
