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
from .stream import BLOCK, LARGE, aligned_memory

_ALIGNMENT = 64  # bytes


class WarmMemory:
    """Keeps the memory of one earlier copy for the next."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def detach(
        self, content: ModelContent, offsets: Mapping[str, int]
    ) -> tuple[ModelContent, memoryview | None]:
        """Return the content with arrays that training cannot change, and the memory they use.

        Args:
            content: What a file will hold.
            offsets: Where in the file arrays will lie, as far as that is known: their copies then
                lie in memory in such a way that they need no second one (see `stream`).

        The memory goes back with `give_back` when the file is written.
        """
        if keras_compat.BACKEND == "tensorflow":
            own = {name: _frozen(array) for name, array in content.arrays.items()}
            return dataclasses.replace(content, arrays=own), None
        places = _places(content.arrays, offsets)
        memory = self._take(sum(array.nbytes + BLOCK for array in content.arrays.values()))
        copies: dict[str, np.ndarray[Any, Any]] = {
            name: np.ndarray(array.shape, array.dtype, memory, places[name])
            for name, array in content.arrays.items()
        }
        _copy_all([(copies[name], array) for name, array in content.arrays.items()])
        return dataclasses.replace(content, arrays=copies), memory

    def give_back(self, memory: memoryview | None) -> None:
        """Keep memory for the next copy."""
        if memory is not None:
            self._free = [memory]

    def _take(self, size: int) -> memoryview:
        memory = self._free.pop() if self._free else None
        return memory if memory and len(memory) >= size else aligned_memory(size)


def _frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an alias of TensorFlow as it is, and a copy of an array that can be written to."""
    return array.copy() if array.flags.writeable else array


def _places(
    arrays: Mapping[str, np.ndarray[Any, Any]], offsets: Mapping[str, int]
) -> dict[str, int]:
    """Return a place in the memory for each array, less than a block from the one before."""
    places, position = {}, 0
    for name, array in arrays.items():
        if array.nbytes >= LARGE:
            position += (offsets.get(name, 0) - position) % BLOCK
        else:
            position += -position % _ALIGNMENT
        places[name] = position
        position += array.nbytes
    return places


def _copy_all(pairs: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> None:
    """Copy the second array of each pair into the first, large ones by two threads."""
    large = [pair for pair in pairs if pair[0].nbytes >= LARGE]
    for copy, array in pairs:
        if copy.nbytes < LARGE:
            np.copyto(copy, array)
    if large:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda pair: np.copyto(*pair), large))
