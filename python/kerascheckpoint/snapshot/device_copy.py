"""Bring arrays from devices to the host while training continues.

Copying an array on its device takes milliseconds, after which training can continue; the writing
thread then transfers the copy to the host. If the device has no room for a copy, the transfer
starts immediately and runs before the next training step.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from ..backends.arrays import backend, shape_and_dtype, to_host
from ..backends.base import Array, DeviceCopier, DeviceCopies, Transfer
from ..notify import Once
from .memory_layout import memory_for, place_arrays

_MARGIN = 0.05  # share of a device's memory that a copy leaves free
_BATCH = 32 << 20  # bytes that a foreground save transfers to the host at once


def fits(room: Iterable[tuple[int, int, int]]) -> bool:
    """Tell whether each device has room for a copy and a margin.

    Args:
        room: For each device, the bytes needed, free and in total.
    """
    return all(free - needed >= total * _MARGIN for needed, free, total in room)


def on_devices(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the held values that lie on devices, not in host memory."""
    return {name: value for name, value in held.items() if not isinstance(value, np.ndarray)}


def size_of(value: Any) -> int:
    """Return the size of a variable or held value on the host, in bytes."""
    shape, dtype = shape_and_dtype(value)
    return math.prod(shape) * dtype.itemsize


class PendingArrays(Protocol):
    """Arrays to be written that are not on the host yet."""

    def wait(self) -> dict[str, Array]:
        """Wait until they are on the host, and return them. Call it on the writing thread."""

    def release(self) -> None:
        """Free all memory for reuse. Must be called once, even after an error."""


class DeviceSnapshots:
    """Copies arrays that lie on devices, for one save at a time."""

    def __init__(self) -> None:
        self._copier: DeviceCopier | None = None
        self._once = Once()

    def prepare(self, held: Mapping[str, Any]) -> None:
        """Do the slow part of the first copy in advance, on any thread."""
        sizes = _sizes(held)
        self._get_copier().prepare(list(held.values()), memory_for(sizes.values()))

    def start(self, held: Mapping[str, Any], offsets: Mapping[str, int]) -> PendingArrays:
        """Start to copy arrays, and return immediately.

        Args:
            held: Arrays on devices, by name.
            offsets: Their offsets in the file, in bytes, where known.
        """
        sizes = _sizes(held)
        names, values = list(held), list(held.values())
        places = list(place_arrays(sizes, offsets).values())
        size = memory_for(sizes.values())
        copier = self._get_copier()
        self.report()
        if fits(copier.room(values)):
            try:
                return _Copied(names, copier.copy(values), places, size)
            except RuntimeError:  # out of memory after all: JAX and PyTorch raise subclasses
                pass
        return _Sent(names, copier.to_host(values, places, size))

    def stream(self, held: Mapping[str, Any]) -> "StreamedArrays":
        """Return arrays, each of which is transferred while the ones before it are written."""
        return StreamedArrays(self._get_copier(), held)

    def report(self) -> None:
        """Warn once, on the calling thread, if no pinned memory was available."""
        problem = self._copier.problem if self._copier else None
        if problem is not None:
            self._once.warn(
                "pinned",
                "saves of this model take longer, because its arrays got no pinned memory: "
                f"{problem}",
            )

    def _get_copier(self) -> DeviceCopier:
        if self._copier is None:
            self._copier = backend().new_copier()
        return self._copier


class _Copied:
    """Arrays that were copied on their devices."""

    def __init__(
        self, names: list[str], copies: DeviceCopies, places: list[int], size: int
    ) -> None:
        self._names, self._copies, self._places, self._size = names, copies, places, size
        self._transfer: Transfer | None = None

    def wait(self) -> dict[str, Array]:
        self._transfer = self._copies.to_host(self._places, self._size)
        arrays = self._transfer.wait()
        self._copies.release()
        return dict(zip(self._names, arrays, strict=True))

    def release(self) -> None:
        if self._transfer is not None:
            self._transfer.release()
        self._copies.release()


class _Sent:
    """Arrays whose transfer to the host has started already."""

    def __init__(self, names: list[str], transfer: Transfer) -> None:
        self._names, self._transfer = names, transfer

    def wait(self) -> dict[str, Array]:
        return dict(zip(self._names, self._transfer.wait(), strict=True))

    def release(self) -> None:
        self._transfer.release()


class StreamedArrays(Mapping[str, Array]):
    """Arrays by name, brought to the host in batches as they are read.

    While one batch is in use, the next is being transferred. An array is valid until one of the
    next batch is read.
    """

    def __init__(self, copier: DeviceCopier, held: Mapping[str, Any]) -> None:
        self._copier, self._held = copier, held
        batches = list(_batches(_sizes(on_devices(held))))
        self._batches = iter(batches)
        # Pinned memory is scarce: blocks of one size let two of them serve all batches.
        self._size = max((memory_for(sizes.values()) for sizes in batches), default=0)
        self._arrays: dict[str, Array] = {}
        self._used: Transfer | None = None
        self._coming: tuple[list[str], Transfer] | None = None

    def __getitem__(self, name: str) -> Array:
        held = self._held[name]
        if isinstance(held, np.ndarray):
            return held
        while name not in self._arrays and self._next_batch():
            pass
        return self._arrays[name] if name in self._arrays else to_host(held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Free all memory for reuse."""
        used, coming = self._used, self._coming
        self._arrays, self._used, self._coming, self._batches = {}, None, None, iter(())
        if used is not None:
            used.release()
        if coming is not None:
            _, transfer = coming
            transfer.wait()
            transfer.release()

    def _next_batch(self) -> bool:
        """Wait for the next batch and start the one after it; return False if none is left."""
        self._arrays = {}
        if self._used is not None:
            self._used.release()
            self._used = None
        self._coming = self._coming or self._send()
        if self._coming is None:
            return False
        names, self._used = self._coming
        self._coming = self._send()
        self._arrays = dict(zip(names, self._used.wait(), strict=True))
        return True

    def _send(self) -> tuple[list[str], Transfer] | None:
        sizes = next(self._batches, None)
        if sizes is None:
            return None
        places = list(place_arrays(sizes, {}).values())
        values = [self._held[name] for name in sizes]
        return list(sizes), self._copier.to_host(values, places, self._size)


def _batches(sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Divide arrays into batches of at most `_BATCH` bytes; a larger array is its own batch."""
    batch: dict[str, int] = {}
    for name, size in sizes.items():
        if batch and sum(batch.values()) + size > _BATCH:
            yield batch
            batch = {}
        batch[name] = size
    if batch:
        yield batch


def _sizes(held: Mapping[str, Any]) -> dict[str, int]:
    return {name: size_of(value) for name, value in held.items()}
