"""Copies of arrays that training is about to change, into memory that is kept and reused.

Memory that was touched before is copied to several times faster than fresh memory.
"""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from . import keras_compat
from .archive import ModelContent

_ALIGNMENT = 64
_LARGE = 1 << 20  # bytes from which on a copy is worth a thread's while


class WarmMemory:
    """Keeps the memory of one earlier copy for the next."""

    def __init__(self) -> None:
        self._free: list[np.ndarray[Any, Any]] = []

    def detach(self, content: ModelContent) -> tuple[ModelContent, np.ndarray[Any, Any] | None]:
        """Return the content with arrays that training cannot change, and the memory they use.

        The memory goes back with `give_back` when the file is written.
        """
        if keras_compat.BACKEND == "tensorflow":
            own = {name: _frozen(array) for name, array in content.arrays.items()}
            return dataclasses.replace(content, arrays=own), None
        places, size = _places(content.arrays)
        memory = self._take(size)
        copies: dict[str, np.ndarray[Any, Any]] = {
            name: np.ndarray(array.shape, array.dtype, memory, places[name])
            for name, array in content.arrays.items()
        }
        _copy_all([(copies[name], array) for name, array in content.arrays.items()])
        return dataclasses.replace(content, arrays=copies), memory

    def give_back(self, memory: np.ndarray[Any, Any] | None) -> None:
        """Keep memory for the next copy."""
        if memory is not None:
            self._free = [memory]

    def _take(self, size: int) -> np.ndarray[Any, Any]:
        memory = self._free.pop() if self._free else None
        return memory if memory is not None and memory.size >= size else np.empty(size, np.uint8)


def _frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an alias of TensorFlow as it is, and a copy of an array that can be written to."""
    return array.copy() if array.flags.writeable else array


def _places(arrays: Mapping[str, np.ndarray[Any, Any]]) -> tuple[dict[str, int], int]:
    places, position = {}, 0
    for name, array in arrays.items():
        places[name] = position
        position += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return places, max(position, 1)


def _copy_all(pairs: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> None:
    """Copy the second array of each pair into the first, large ones by two threads."""
    large = [pair for pair in pairs if pair[0].nbytes >= _LARGE]
    for copy, array in pairs:
        if copy.nbytes < _LARGE:
            np.copyto(copy, array)
    if large:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: np.copyto(*pair), large))
