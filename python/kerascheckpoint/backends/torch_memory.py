"""Streams for the transfers of PyTorch tensors, and pinned host memory to receive them."""

import contextlib
import weakref
from typing import Any

import numpy as np
import torch

from .base import Array

_PAGE = 4096  # bytes; memory is pinned, and written by direct I/O, in whole pages
_PORTABLE = 1  # cudaHostRegisterPortable: pinned for every device


class Block:
    """Page-aligned host memory."""

    def __init__(self, size: int) -> None:
        memory = np.empty(size + _PAGE, np.uint8)
        start = -memory.ctypes.data % _PAGE
        self.array = memory[start : start + size]
        self.array[::_PAGE] = 0  # makes the system allocate the pages now
        self.tensor = torch.from_numpy(self.array)

    def pin(self, device: Any) -> None:
        """Pin the memory, so that devices can access it directly, while this object lives.

        `pin_memory=True` would round the size up to a power of two and never free the memory.

        Raises:
            RuntimeError: If the memory cannot be pinned.
        """
        if device.type != "cuda":
            raise RuntimeError(f"PyTorch cannot pin memory for {device.type!r}")
        with on_device(device):
            runtime = torch.cuda.cudart()
            place = self.array.ctypes.data
            torch.cuda.check_error(
                int(runtime.cudaHostRegister(place, self.array.nbytes, _PORTABLE))
            )
        weakref.finalize(self, _unpin, self.array)


def _unpin(array: Array) -> None:
    torch.cuda.cudart().cudaHostUnregister(array.ctypes.data)


class StreamLane:
    """A stream for the transfers of one device, separate from the one that training uses."""

    HAS_MARKS = True
    """Whether transfers are asynchronous, with a mark to wait for."""

    def __init__(self, device: Any) -> None:
        self._device, self._module = device, getattr(torch, device.type)
        self._stream = self._module.Stream(device)

    def mark(self) -> Any:
        """Mark what training has queued so far."""
        event = self._module.Event()
        event.record(self._module.current_stream(self._device))
        return event

    @contextlib.contextmanager
    def after(self, mark: Any) -> Any:
        """Have everything that the body queues run after `mark`."""
        self._stream.wait_event(mark)
        with on_device(self._device), self._module.stream(self._stream):
            yield

    def end(self) -> Any:
        """Mark what this lane has queued so far."""
        event = self._module.Event()
        event.record(self._stream)
        return event

    def hold_training_until(self, end: Any) -> None:
        """Have everything that training queues next run after `end`; the host does not wait."""
        self._module.current_stream(self._device).wait_event(end)


class PlainLane:
    """Stands in on devices without streams, where PyTorch runs everything in order."""

    HAS_MARKS = False

    def mark(self) -> None:
        """Mark nothing."""

    def after(self, mark: None) -> Any:
        """Do nothing: each copy ends before the next begins."""
        return contextlib.nullcontext()

    def end(self) -> None:
        """Mark nothing."""

    def hold_training_until(self, end: None) -> None:
        """Do nothing: the transfers have ended."""


def memory_of(device: Any) -> tuple[int, int]:
    """Return the bytes of a device that PyTorch has not reserved, and its total bytes.

    A device that does not report its memory counts as full, because a save must not make training
    run out of memory.
    """
    module = getattr(torch, device.type)
    if hasattr(module, "mem_get_info"):
        free, total = module.mem_get_info(device)
        return free, total
    if hasattr(module, "recommended_max_memory"):  # Apple GPUs
        total = module.recommended_max_memory()
        return total - module.driver_allocated_memory(), total
    return 0, 0


def on_device(device: Any) -> Any:
    """Return a context in which `device` is the current one of its type, if there is one."""
    current = getattr(getattr(torch, device.type), "device", None)
    return contextlib.nullcontext() if current is None else current(device)
