"""One array of a `.orbax` directory, read through TensorStore and verified chunk by chunk."""

import dataclasses
import importlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import location
from ...errors import CheckpointCorruptError
from ...model_state import Index
from .. import record
from . import access, layout
from .chunks import chunks_within, is_chunk, number_of, whole

_AHEAD = 32 << 20  # bytes of chunks read at the same time
_PIECE = 8 << 20  # bytes of rows read at once


@dataclasses.dataclass
class StoredArray:
    """An array as the record describes it.

    Attributes:
        step: The directory of the step.
        name: Its name, which is its path in a `.weights.h5` file.
        dtype_name: The name of its dtype.
        lengths: Its shape.
        place: The item that holds it, and its keys in that item.
        chunk: The shape of its chunks.
        sums: The CRC-32 of each chunk, as eight hexadecimal digits.
    """

    step: str
    name: str
    dtype_name: str
    lengths: list[int]
    place: list[str]
    chunk: list[int]
    sums: list[str]
    _opened: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.lengths)

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Its dtype."""
        return record.dtype_of(self.dtype_name)

    def read(self, index: Index) -> "np.ndarray[Any, Any]":
        """Return a part of it; beside that part only a few chunks are in memory.

        Whole chunks are compared with their checksums.

        Raises:
            CheckpointCorruptError: If it cannot be read, or is damaged.
        """
        self._store()
        shape = [part.stop - part.start for part in index]
        found: np.ndarray[Any, Any] = np.empty(shape, self.dtype)
        for place, values in self._chunks(index):
            own = tuple(
                slice(part.start - whole_part.start, part.stop - whole_part.start)
                for part, whole_part in zip(place, index, strict=True)
            )
            if is_chunk(place, self.shape, self.chunk):
                self._compare(place, values)
            found[own] = values
        return found

    def _chunks(self, index: Index) -> "Iterator[tuple[Index, np.ndarray[Any, Any]]]":
        """Yield what each chunk holds of a part, and where; a few are read at the same time."""
        store = self._store()
        coming: deque[tuple[Index, Any]] = deque()
        size = int(np.prod(self.chunk, dtype=np.int64)) * self.dtype.itemsize
        for place in chunks_within(index, self.shape, self.chunk):
            coming.append((place, store[place].read()))
            if len(coming) * size > _AHEAD:
                yield self._arrived(*coming.popleft())
        while coming:
            yield self._arrived(*coming.popleft())

    def _arrived(self, place: Index, reading: Any) -> "tuple[Index, np.ndarray[Any, Any]]":
        with layout.naming(self.name):
            return place, reading.result()

    def rows(self) -> Iterator[Index]:
        """Yield indices that cover the array in the order of its bytes, a few MB each."""
        first, *rest = whole(self.shape) or [None]
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        if not size:
            return
        if first is None:
            yield ()
            return
        count = max(_PIECE * self.shape[0] // size, 1)
        for start in range(0, self.shape[0], count):
            yield (slice(start, min(start + count, self.shape[0])), *rest)

    def verify(self) -> None:
        """Compare every chunk with its checksum.

        Raises:
            CheckpointCorruptError: If one differs or cannot be read.
        """
        for place, found in self._chunks(whole(self.shape)):
            self._compare(place, found)

    def _compare(self, place: Index, found: "np.ndarray[Any, Any]") -> None:
        number = number_of(place, self.shape, self.chunk)
        if number >= len(self.sums) or layout.array_checksum(found) != self.sums[number]:
            raise CheckpointCorruptError(f"array {self.name!r} is damaged (checksum differs)")

    def _store(self) -> Any:
        if self._opened is None:
            self._opened = open_array(self.step, self.name, self.place)
            if (tuple(self._opened.shape), self._opened.dtype.numpy_dtype) != (
                self.shape,
                self.dtype,
            ):
                raise CheckpointCorruptError(f"array {self.name!r} is not the one that was saved")
        return self._opened


def open_array(step: str, name: str, place: list[str]) -> Any:
    """Open an array of a step with TensorStore.

    Raises:
        CheckpointCorruptError: If it cannot be opened.
        CheckpointUnreachableError: If Orbax cannot read at this URL.
        ImportError: If TensorStore, a part of the extra `orbax`, is not installed.
    """
    if not layout.is_installed("tensorstore"):
        raise ImportError(layout.NEEDS_ORBAX)
    tensorstore = importlib.import_module("tensorstore")
    item, *keys = place
    spec = {
        "driver": "zarr3",
        "fill_missing_data_reads": False,  # else a missing chunk would read as zeros
        "recheck_cached_data": False,  # what is finished does not change
        "recheck_cached_metadata": False,
        "kvstore": {
            "driver": "ocdbt",
            "base": access.kvstore(location.join(step, item)),
            "path": f"{'.'.join(keys)}/",
        },
    }
    with layout.naming(name):
        return tensorstore.open(spec, open=True, read=True).result()
