"""Copies of JAX arrays: on their device by one compiled function, then into pinned host memory.

JAX allocates pinned memory through a memory kind and keeps it for the next transfer. So JAX chooses
where arrays lie there; they cannot be laid out as in the file. Its pool grows by powers of two
(`BFCAllocator::Extend` of XLA), to more than the arrays take.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from .base import PIECE, Array
from .jax_layout import Layout, Stack

_KIND = "pinned_host"
_KEPT = 4  # layouts; a model needs a new one if its variables change


class Copier:
    """Copies arrays of any devices, shard by shard."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._layouts: dict[Any, Layout] = {}
        self._peaks: dict[Any, int] = {}

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Compile the copy of these arrays and have JAX allocate pinned memory for them."""
        layout = self._layout(values)
        layout.compile()
        specs = layout.copies()
        kinds = [_pinned(spec.sharding) for spec in specs]
        if None not in kinds:
            blank = [np.zeros(spec.shape, spec.dtype) for spec in specs]
            jax.block_until_ready(jax.device_put(blank, kinds))

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return each device's memory, counting training's peak before the first copy as in use.

        A device that does not report its memory counts as full, because a save must not make
        training run out of memory.
        """
        answers = []
        for device, needed in self._layout(values).needed.items():
            stats = device.memory_stats() or {}
            limit, used = stats.get("bytes_limit", 0), stats.get("bytes_in_use", 0)
            peak = self._peaks.setdefault(device, stats.get("peak_bytes_in_use", used))
            answers.append((needed, limit - max(used, peak), limit))
        return answers

    def copy(self, values: Sequence[Any]) -> "_Copies":
        """Copy all arrays of a device in one dispatch."""
        layout = self._layout(values)
        return _Copies(self, layout, layout.copy(values))

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> "_Transfer":
        """Start all transfers; JAX reuses no array's memory before its transfer has ended."""
        layout = self._layout(values)
        shards = layout.shards(values)
        return _Transfer(layout, [(at,) for at in range(len(shards))], self.send(shards))

    def send(self, arrays: Sequence[Any]) -> list[Any]:
        """Start to transfer arrays to pinned memory, or copy them to ordinary memory now."""
        kinds = [_pinned(array.sharding) for array in arrays]
        if None in kinds:
            self.problem = f"JAX offers no {_KIND} memory for this device"
        else:
            try:
                on_host: list[Any] = jax.device_put(arrays, kinds)
                return on_host
            except RuntimeError as error:  # from jaxlib: out of memory, or no memory of this kind
                self.problem = str(error)
        return [np.array(array) for array in arrays]

    def _layout(self, values: Sequence[Any]) -> Layout:
        key = tuple((value.shape, value.dtype, value.sharding) for value in values)
        if key not in self._layouts:
            while len(self._layouts) >= _KEPT:
                self._layouts.pop(next(iter(self._layouts)))
            self._layouts[key] = Layout(values)
        return self._layouts[key]


class _Copies:
    """Copies that only this object refers to, so that releasing them frees their memory."""

    def __init__(self, copier: Copier, layout: Layout, copies: list[Any]) -> None:
        self._copier, self._layout, self._copies = copier, layout, copies

    def to_host(self, places: Sequence[int], size: int) -> "_Transfer":
        """Transfer piece by piece, so that what training transfers meanwhile waits for few."""
        on_host: list[Any] = []
        coming: list[Any] = []
        for piece in _pieces(self._copies):
            sent = self._copier.send(piece)
            jax.block_until_ready(coming)
            coming = sent
            on_host += sent
        return _Transfer(self._layout, self._layout.stacks, on_host)

    def release(self) -> None:
        self._copies = []


class _Transfer:
    """Arrays being transferred; JAX keeps their sources alive until they have arrived."""

    def __init__(self, layout: Layout, stacks: Sequence[Stack], on_host: list[Any]) -> None:
        self._layout, self._stacks, self._on_host = layout, stacks, on_host

    def wait(self) -> list[Array]:
        jax.block_until_ready(self._on_host)
        views = [_view(array) for array in self._on_host]
        return self._layout.assembled(self._stacks, views)

    def release(self) -> None:
        self._on_host = []


class _PinnedBytes:
    """The bytes of an array in host memory. A NumPy view of them keeps the array alive."""

    def __init__(self, array: Any) -> None:
        self._array = array
        place = (array.unsafe_buffer_pointer(), True)
        self.__array_interface__ = {
            **{"shape": (array.size * array.dtype.itemsize,), "typestr": "|u1"},
            **{"data": place, "version": 3},
        }


def _pieces(arrays: Sequence[Any]) -> Iterator[list[Any]]:
    """Divide arrays into pieces of at most `PIECE` bytes; a larger array is its own piece."""
    piece: list[Any] = []
    for array in arrays:
        if piece and sum(each.nbytes for each in piece) + array.nbytes > PIECE:
            yield piece
            piece = []
        piece.append(array)
    if piece:
        yield piece


def _view(array: Any) -> Array:
    """Return a NumPy array over the memory of a JAX array, where `np.asarray` might copy.

    JAX may pack numbers smaller than a byte; NumPy does not, so those are converted.
    """
    if isinstance(array, np.ndarray) or not array.size or not _is_plain(array):
        return np.asarray(array)
    data: Array = np.asarray(_PinnedBytes(array))
    view: Array = data.view(array.dtype).reshape(array.shape)
    return view


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
