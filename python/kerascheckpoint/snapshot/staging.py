"""Copy a snapshot to where training cannot change it: host memory that is kept and reused.

Copying into memory that was touched before is several times faster than into fresh memory, so a
thread touches the memory of the first copy when training begins.

- JAX and PyTorch: views are copied before training continues. Except for the shards of arrays on
  several parts of the processor: JAX gives the next step other memory for an array that a view
  still holds, and copies there in all its threads. The event does not wait for that.
- TensorFlow: views keep their values, but the next step needs fresh memory for every array that a
  view still holds. So the views are copied and released while that step computes.
- Arrays on devices are copied there; the writing thread brings the copies to the host.
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
from .shards import join, layouts, sharded_in_memory, split

_PAGE = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class StagedSnapshot:
    """A snapshot that training can no longer change.

    Attributes:
        memory: Holds the copies of the arrays that were in host memory.
    """

    memory: memoryview
    _snapshot: ModelSnapshot
    _host: Mapping[str, Any]
    _copying: "list[Future[None]]"
    _pending: PendingArrays | None = None

    def content(self) -> ModelSnapshot:
        """Return the snapshot with all arrays on the host. Call it on the writing thread."""
        for copied in self._copying:
            copied.result()
        arrived = {} if self._pending is None else self._pending.wait()
        arrays = {**self._host, **arrived}
        return dataclasses.replace(self._snapshot, arrays=join(self._snapshot.arrays, arrays))

    def release_device(self) -> None:
        """Free the memory of the arrays that came from devices for reuse."""
        if self._pending is not None:
            self._pending.release()


class StagingBuffers:
    """Stages snapshots, and keeps the memory of each copy for the next one."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []
        self._devices = DeviceSnapshots()
        self._preparing: Future[None] | None = None

    def prepare(self, variables: Mapping[str, Any], *, in_shards: bool = False) -> None:
        """Have a thread prepare memory for a copy of `variables`, so that no save waits for it.

        An error in the thread occurs again at the first save, which reports it.

        Args:
            variables: Roughly what a file will hold.
            in_shards: Whether to copy only the shards that this process writes.
        """
        parts = split(hold_shards(variables)) if in_shards else variables
        on_device = {name: each for name, each in parts.items() if is_on_device(each)}
        whole = parts.keys() & variables.keys() - on_device.keys()
        in_memory = [size_of(variables[name]) for name in whole]
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
        """Copy a snapshot so that training can no longer change it.

        Pass the result to `release` once the file is written, so that its memory is reused.

        Args:
            snapshot: What the file will hold, not copied; the caller should not keep it.
            offsets: Offsets of arrays in the file, in bytes, where known. Their copies are then
                aligned such that direct I/O needs no second copy (see `direct_io`).
        """
        self._finish_preparing()
        views = sharded_in_memory(snapshot.arrays)
        others = {name: each for name, each in snapshot.arrays.items() if name not in views}
        held = split(others)
        on_device = on_devices(held)
        pending = self._devices.start(on_device, offsets) if on_device else None
        in_memory = {name: array for name, array in held.items() if name not in on_device}
        try:
            memory, host, copying = self._copy_to_host(in_memory, offsets)
        except BaseException:  # including an interrupt: the device's memory must not stay in use
            if pending is not None:
                pending.release()
            raise
        blank = dict.fromkeys(snapshot.arrays) | layouts(others)
        own = dataclasses.replace(snapshot, arrays=blank)
        return StagedSnapshot(memory, own, host | views, copying, pending)

    def _copy_to_host(
        self, arrays: dict[str, Array], offsets: Mapping[str, int]
    ) -> "tuple[memoryview, dict[str, Any], list[Future[None]]]":
        """Copy arrays that are in host memory.

        Returns:
            The memory of the copies, the copies by name, and futures of those not yet complete.
        """
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
        if not keep_values:
            for copied_array in copying:
                copied_array.result()
        return memory, arrays | copies, copying

    @contextlib.contextmanager
    def on_host(self, snapshot: ModelSnapshot) -> Iterator[ModelSnapshot]:
        """Yield a snapshot whose arrays come from devices to the host while they are written.

        For foreground saves: training waits, so nothing is copied.
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
        """Keep the memory of a staged snapshot for the next one."""
        staged.release_device()
        self._free = [staged.memory]

    def close(self) -> None:
        """Return all memory to the system; warn if it could not be pinned."""
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

    Two threads copy the large arrays, and release each source as soon as it is copied.

    Returns:
        A future for each large array.
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
