"""Bring a snapshot out of the reach of training, into host memory that is kept and reused.

Memory that was touched before is copied to several times faster than fresh memory, so the first
copy's memory is touched by a thread when training begins. Views on JAX and PyTorch are copied
before training goes on. Those on TensorFlow keep their values, but the next step needs fresh memory
for every array that one of them still holds: they are copied, and let go, while that step computes.
What lies on a device is copied there and brought to the host by the writing thread.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..backends.arrays import backend, ensure_copy, hold, hold_shards, is_on_device, to_host
from ..backends.base import Array
from ..model_state import ModelSnapshot
from ..storage.direct_io import LARGE, aligned_memory
from .device_copy import DeviceSnapshots, PendingArrays, on_devices, size_of
from .memory_layout import memory_for, place_arrays
from .shards import join, sharded, split

_PAGE = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class StagedSnapshot:
    """What a file will hold, out of the reach of training.

    Attributes:
        memory: Where the copies of what lay in the host's memory are.
    """

    memory: memoryview
    _snapshot: ModelSnapshot
    _host: Mapping[str, Array]
    _copying: "list[Future[None]]"
    _pending: PendingArrays | None = None

    def content(self) -> ModelSnapshot:
        """Return it with all arrays on the host; for the thread that writes it."""
        for copied in self._copying:
            copied.result()
        arrays = {**self._host, **({} if self._pending is None else self._pending.wait())}
        return dataclasses.replace(self._snapshot, arrays=join(self._snapshot.arrays, arrays))

    def release_device(self) -> None:
        """Let the memory of what came from devices be used again."""
        if self._pending is not None:
            self._pending.release()


class StagingBuffers:
    """Keeps the memory of one earlier copy for the next."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []
        self._devices = DeviceSnapshots()
        self._preparing: Future[None] | None = None

    def prepare(self, variables: Mapping[str, Any], *, in_shards: bool = False) -> None:
        """Get memory for a copy of `variables` ready by a thread, so that no save waits for it.

        What goes wrong in the thread does so again at the first save, and is reported there.

        Args:
            variables: What a file will hold, about.
            in_shards: Whether only the shards are copied that this process writes.
        """
        variables = split(hold_shards(variables)) if in_shards else variables
        on_device = {name: each for name, each in variables.items() if is_on_device(each)}
        in_memory = [size_of(each) for name, each in variables.items() if name not in on_device]
        if backend().KEEPS_VALUES:
            in_memory = [size for size in in_memory if size >= LARGE]
        held = hold(on_device)
        size = memory_for(in_memory)

        def work() -> None:
            if held:
                self._devices.prepare(held)
            if in_memory:
                memory = aligned_memory(size)
                np.asarray(memory)[::_PAGE] = 0
                self._free = [memory]

        pool = ThreadPoolExecutor(1, thread_name_prefix="kerascheckpoint memory")
        self._preparing = pool.submit(work)
        pool.shutdown(wait=False)

    def stage(self, snapshot: ModelSnapshot, offsets: Mapping[str, int]) -> StagedSnapshot:
        """Return what a file will hold, so that nothing which training does from now on changes it.

        Args:
            snapshot: What the file will hold, not copied; the caller should not keep it.
            offsets: Where in the file arrays will lie, as far as that is known: their copies then
                lie in memory in such a way that they need no second one (see `direct_io`).

        The memory goes back with `release` when the file is written.
        """
        self._finish_preparing()
        held = split(snapshot.arrays)
        on_device = on_devices(held)
        pending = self._devices.start(on_device, offsets) if on_device else None
        in_memory = {name: array for name, array in held.items() if name not in on_device}
        try:
            return self._stage_on_host(snapshot, in_memory, offsets, pending)
        except BaseException:  # an interrupt too: the device's memory would stay taken
            if pending is not None:
                pending.release()
            raise

    def _stage_on_host(
        self,
        snapshot: ModelSnapshot,
        arrays: dict[str, Array],
        offsets: Mapping[str, int],
        pending: PendingArrays | None,
    ) -> StagedSnapshot:
        """Copy `arrays`, which lie in the host's memory, and put all of a file together."""
        copied = arrays
        keep_values = backend().KEEPS_VALUES
        if keep_values:
            arrays = {name: ensure_copy(array) for name, array in arrays.items()}
            copied = {name: array for name, array in arrays.items() if array.nbytes >= LARGE}
        sizes = {name: array.nbytes for name, array in copied.items()}
        places = place_arrays(sizes, offsets)
        memory = self._take(memory_for(sizes.values()))
        copies: dict[str, Array] = {
            name: np.ndarray(array.shape, array.dtype, memory, places[name])
            for name, array in copied.items()
        }
        copying = _copy_all([(copies[name], array) for name, array in copied.items()])
        blank = dict.fromkeys(snapshot.arrays) | sharded(snapshot.arrays)
        own = dataclasses.replace(snapshot, arrays=blank)
        if not keep_values:
            for copied_array in copying:
                copied_array.result()
        return StagedSnapshot(memory, own, {**arrays, **copies}, copying, pending)

    @contextlib.contextmanager
    def on_host(self, snapshot: ModelSnapshot) -> Iterator[ModelSnapshot]:
        """Give what a file will hold, whose arrays on devices come to the host while it is written.

        For a save that training waits for: nothing is copied.
        """
        held = split(snapshot.arrays)
        if not on_devices(held):
            yield snapshot
            return
        if held.keys() != snapshot.arrays.keys():
            arrived = {name: to_host(each) for name, each in held.items()}
            yield dataclasses.replace(snapshot, arrays=join(snapshot.arrays, arrived))
            return
        arrays = self._devices.stream(snapshot.arrays)
        try:
            yield dataclasses.replace(snapshot, arrays=arrays, is_lasting=False)
        finally:
            arrays.close()

    def release(self, staged: StagedSnapshot) -> None:
        """Keep its memory for the next copy."""
        staged.release_device()
        self._free = [staged.memory]

    def close(self) -> None:
        """Give all memory back to the system; say what kept it from being pinned."""
        self._finish_preparing()
        self._devices.report()
        self._free, self._devices = [], DeviceSnapshots()

    def _finish_preparing(self) -> None:
        if self._preparing is not None:
            wait([self._preparing])
            self._preparing = None

    def _take(self, size: int) -> memoryview:
        memory = self._free.pop() if self._free else None
        return memory if memory and len(memory) >= size else aligned_memory(size)


def _copy_all(pairs: list[tuple[Array, Array]]) -> "list[Future[None]]":
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
