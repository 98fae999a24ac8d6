"""What PyTorch's copies run in and into: streams beside the training's, and pinned host memory."""

import contextlib
import weakref
from typing import Any

import numpy as np
import torch

from .base import Array

_PAGE = 4096  # bytes; what is pinned, and what direct I/O writes, are whole pages
_PORTABLE = 1  # cudaHostRegisterPortable: pinned for every device


class Block:
    """Host memory that begins at a page."""

    def __init__(self, size: int) -> None:
        memory = np.empty(size + _PAGE, np.uint8)
        start = -memory.ctypes.data % _PAGE
        self.array = memory[start : start + size]
        self.array[::_PAGE] = 0  # has the system find the memory now
        self.tensor = torch.from_numpy(self.array)

    def pin(self, device: Any) -> None:
        """Let devices reach the memory themselves, until this object goes.

        `pin_memory=True` would round the size up to a power of two and never give it back.

        Raises:
            RuntimeError: If there is no way to do that.
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
    """A stream for the transfers of one device, beside the one that training computes on."""

    HAS_MARKS = True
    """Whether a transfer may return before it ends, as a mark tells its end."""

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
        """Queue what the body starts behind `mark`."""
        self._stream.wait_event(mark)
        with on_device(self._device), self._module.stream(self._stream):
            yield

    def end(self) -> Any:
        """Mark what this lane has queued so far."""
        event = self._module.Event()
        event.record(self._stream)
        return event

    def hold_training_until(self, end: Any) -> None:
        """Queue what training starts next behind a mark of this lane; nobody waits for that."""
        self._module.current_stream(self._device).wait_event(end)


class PlainLane:
    """For devices without streams: PyTorch does one thing after the other."""

    HAS_MARKS = False

    def mark(self) -> None:
        """Mark nothing."""

    def after(self, mark: None) -> Any:
        """Queue nothing: each copy ends before the next begins."""
        return contextlib.nullcontext()

    def end(self) -> None:
        """Mark nothing."""

    def hold_training_until(self, end: None) -> None:
        """Do nothing: all has been done."""


def memory_of(device: Any) -> tuple[int, int]:
    """Return the bytes of a device that PyTorch has not reserved, and those there are.

    A device that cannot be asked counts as full: a save must not be what makes training run out of
    memory.
    """
    module = getattr(torch, device.type)
    if hasattr(module, "mem_get_info"):
        free, total = module.mem_get_info(device)
        return free, total
    if hasattr(module, "recommended_max_memory"):  # of Apple's GPUs
        total = module.recommended_max_memory()
        return total - module.driver_allocated_memory(), total
    return 0, 0


def on_device(device: Any) -> Any:
    """Make `device` the current one of its kind, where there is such a thing."""
    current = getattr(getattr(torch, device.type), "device", None)
    return contextlib.nullcontext() if current is None else current(device)
