"""Arrays in states: a small one becomes text in the record, a larger one an array of the file.

A state's `capture` returns an array as it is, wrapped in an object whose only key is "array".
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..model_state import STATE
from .packing import pack, unpack

KEY = "array"
_LARGEST_TEXT = 256  # bytes; larger arrays do not become text

Arrays = dict[str, "np.ndarray[Any, Any]"]


def take_out(state: Any, arrays: Arrays) -> Any:
    """Return a captured state as JSON, and move its larger arrays to `arrays` under new names."""
    if isinstance(state, list | tuple):
        return [take_out(item, arrays) for item in state]
    if not isinstance(state, Mapping):
        return state
    array = state.get(KEY)
    if not isinstance(array, np.ndarray):
        return {key: take_out(item, arrays) for key, item in state.items()}
    if array.nbytes <= _LARGEST_TEXT:
        return {KEY: pack(array)}
    name = f"{STATE}{len(arrays)}"
    arrays[name] = array
    return {KEY: {"stored": name}}


def put_back(state: Any, read: Callable[[str], "np.ndarray[Any, Any]"]) -> Any:
    """Undo `take_out`: return a state with its arrays.

    Args:
        state: What `take_out` returned.
        read: Returns the array of a given name.
    """
    if isinstance(state, list):
        return [put_back(item, read) for item in state]
    if not isinstance(state, dict):
        return state
    array = state.get(KEY) if len(state) == 1 else None
    if isinstance(array, dict) and array.keys() == {"stored"}:
        return {KEY: read(str(array["stored"]))}
    if isinstance(array, list) and len(array) == 3 and isinstance(array[0], str):
        return {KEY: unpack(array)}
    return {key: put_back(item, read) for key, item in state.items()}
