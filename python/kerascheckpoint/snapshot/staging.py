"""Copies of arrays that training is about to change, into memory that is kept and reused.

Memory that was touched before is copied to several times faster than fresh memory. Views on JAX and
PyTorch are copied before training goes on. Those on TensorFlow keep their values, but the next step
needs fresh memory for every array that one of them still holds: they are copied, and let go, while
that step computes.
"""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..backends.arrays import ensure_copy
from ..keras_seam.private import BACKEND
from ..model_state import ModelSnapshot
from ..storage.direct_io import BLOCK, LARGE, aligned_memory

_ALIGNMENT = 64  # bytes

_Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class StagedSnapshot:
    """What a file will hold, out of the reach of training.

    Attributes:
        memory: Where its copies lie.
    """

    memory: memoryview
    _content: ModelSnapshot
    _copying: "list[Future[None]]"

    def content(self) -> ModelSnapshot:
        """Return it as soon as all copies are made."""
        for copied in self._copying:
            copied.result()
        return self._content


class StagingBuffers:
    """Keeps the memory of one earlier copy for the next."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def stage(self, content: ModelSnapshot, offsets: Mapping[str, int]) -> StagedSnapshot:
        """Return what a file will hold, so that nothing which training does from now on changes it.

        Args:
            content: What the file will hold, as views; the caller should not keep it.
            offsets: Where in the file arrays will lie, as far as that is known: their copies then
                lie in memory in such a way that they need no second one (see `stream`).

        The memory goes back with `release` when the file is written.
        """
        arrays = copied = content.arrays
        keep_values = BACKEND == "tensorflow"
        if keep_values:
            arrays = {name: ensure_copy(array) for name, array in content.arrays.items()}
            copied = {name: array for name, array in arrays.items() if array.nbytes >= LARGE}
        places = _places(copied, offsets)
        memory = self._take(sum(array.nbytes + BLOCK for array in copied.values()))
        copies: dict[str, _Array] = {
            name: np.ndarray(array.shape, array.dtype, memory, places[name])
            for name, array in copied.items()
        }
        copying = _copy_all([(copies[name], array) for name, array in copied.items()])
        own = dataclasses.replace(content, arrays={**arrays, **copies})
        detached = StagedSnapshot(memory, own, copying)
        if not keep_values:
            detached.content()
        return detached

    def release(self, detached: StagedSnapshot) -> None:
        """Keep its memory for the next copy."""
        self._free = [detached.memory]

    def _take(self, size: int) -> memoryview:
        memory = self._free.pop() if self._free else None
        return memory if memory and len(memory) >= size else aligned_memory(size)


def _places(arrays: Mapping[str, _Array], offsets: Mapping[str, int]) -> dict[str, int]:
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


def _copy_all(pairs: list[tuple[_Array, _Array]]) -> "list[Future[None]]":
    """Copy the second array of each pair into the first.

    Large ones are copied by two threads, whose outcomes are returned; each is let go at once.
    """
    pool = ThreadPoolExecutor(2, thread_name_prefix="kerascheckpoint copy")
    copying = []
    for copy, array in pairs:
        if copy.nbytes >= LARGE:
            copying.append(pool.submit(np.copyto, copy, array))
        else:
            np.copyto(copy, array)
    pool.shutdown(wait=False)
    return copying
