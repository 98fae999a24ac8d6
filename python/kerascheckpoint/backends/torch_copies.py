"""Copies of PyTorch tensors: into reused buffers on the device, then into pinned host memory.

Each device has a separate stream, which transfers the copies to the host while training computes.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from .base import PIECE, Array
from .torch_dtypes import bytes_of, numpy_dtype, without_float8
from .torch_memory import Block, PlainLane, StreamLane, memory_of, on_device

_TIMEOUT = 60.0  # seconds; no transfer takes that long unless its save has died
_ALIGNMENT = 512  # bytes between buffers on a device, as PyTorch itself aligns them


class Copier:
    """Copies tensors on any devices; there is only one copy on them at a time."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._free: list[Block] = []
        self._buffers: list[Any] = []
        self._kinds: list[Any] = []
        self._idle = threading.Event()
        self._idle.set()
        self._lanes: dict[Any, Any] = {}

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Pin memory for all tensors."""
        self._free = [self._allocate(size, values)]

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return each device's memory; what PyTorch has reserved for training counts as in use."""
        if self._kinds == [_kind(value) for value in values]:
            return []
        answers = []
        for device, group in _by_device(values).items():
            needed = sum(_padded(values[at].nbytes) for at in group)
            answers.append((needed, *memory_of(device)))
        return answers

    def copy(self, values: Sequence[Any]) -> "_Copies":
        """Copy into the buffers, once the last copies have been transferred from there."""
        if not self._idle.wait(_TIMEOUT):
            self._buffers, self._kinds, self._idle = [], [], threading.Event()
        kinds = [_kind(value) for value in values]
        if self._kinds != kinds:
            self._buffers, self._kinds = [], []  # free them first
            self._buffers, self._kinds = _buffers_like(values), kinds
        ready = []
        for device, group in _by_device(values).items():
            with on_device(device):
                _copy_each([self._buffers[at] for at in group], [values[at] for at in group])
                ready.append((self._lane(device), self._lane(device).mark()))
        self._idle.clear()
        return _Copies(self, self._buffers, ready, self._idle)

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> "_Transfer":
        """Start all transfers; whatever training queues on a device from now on runs after them."""
        lanes = [self._lane(device) for device in _by_device(values)]
        transfer = self.send(values, places, size, [(lane, lane.mark()) for lane in lanes])
        for lane, end in zip(lanes, transfer.ends, strict=True):
            lane.hold_training_until(end)
        return transfer

    def send(
        self,
        values: Sequence[Any],
        places: Sequence[int],
        size: int,
        ready: Sequence[Any],
        *,
        waiting: bool = False,
    ) -> "_Transfer":
        """Start to transfer tensors to the host, on each device once its mark is reached.

        Args:
            values, places, size: See `DeviceCopier.to_host`.
            ready: A lane and a mark for each device.
            waiting: Whether to wait for each piece before the next, so that what training
                transfers meanwhile gets in between.
        """
        block = self._take(size, values)
        ends = []
        for (lane, mark), group in zip(ready, _by_device(values).values(), strict=True):
            with lane.after(mark):
                queued = 0
                for target, source in _pieces(block, [(places[at], values[at]) for at in group]):
                    target.copy_(source, non_blocking=lane.HAS_MARKS)
                    queued += len(source)
                    if waiting and queued >= PIECE:
                        _wait_for([lane.end()])
                        queued = 0
                ends.append(lane.end())
        return _Transfer(self, list(values), places, block, ends)

    def take_back(self, block: "Block") -> None:
        """Keep a block for a later transfer."""
        self._free = [*self._free[-1:], block]

    def _take(self, size: int, values: Sequence[Any]) -> Block:
        found = next((block for block in self._free if block.array.nbytes >= size), None)
        if found is None:
            self._free.clear()
            return self._allocate(size, values)
        self._free.remove(found)
        return found

    def _lane(self, device: Any) -> Any:
        if device not in self._lanes:
            has_streams = hasattr(getattr(torch, device.type), "Stream") and device.type != "cpu"
            self._lanes[device] = StreamLane(device) if has_streams else PlainLane()
        return self._lanes[device]

    def _allocate(self, size: int, values: Sequence[Any]) -> "Block":
        block = Block(size)
        try:
            block.pin(values[0].device)
        except RuntimeError as error:
            self.problem = str(error)
        return block


class _Copies:
    def __init__(self, copier: Copier, buffers: list[Any], ready: list[Any], idle: Any) -> None:
        self._copier, self._buffers, self._ready, self._idle = copier, buffers, ready, idle
        self._is_mine = True

    def to_host(self, places: Sequence[int], size: int) -> "_Transfer":
        return self._copier.send(self._buffers, places, size, self._ready, waiting=True)

    def release(self) -> None:
        if self._is_mine:
            self._is_mine = False
            self._idle.set()


class _Transfer:
    def __init__(
        self,
        copier: Copier,
        values: list[Any],
        places: Sequence[int],
        block: Block,
        ends: list[Any],
    ) -> None:
        self._copier, self._values, self._places = copier, values, places
        self._block: Block | None = block
        self.ends = ends

    def wait(self) -> list[Array]:
        _wait_for(self.ends)
        assert self._block is not None
        arrays: list[Array] = [
            np.ndarray(tuple(value.shape), numpy_dtype(value.dtype), self._block.array.data, place)
            for value, place in zip(self._values, self._places, strict=True)
        ]
        self._values = []
        return arrays

    def release(self) -> None:
        if self._block is not None:
            _wait_for(self.ends)
            self._copier.take_back(self._block)
            self._block = None


def _wait_for(ends: Sequence[Any]) -> None:
    for end in ends:
        if end is not None:
            end.synchronize()


def _pieces(block: Block, tensors: Sequence[tuple[int, Any]]) -> Iterator[tuple[Any, Any]]:
    """Return bytes of the block and of a tensor, at most `PIECE` at once.

    Args:
        block: Host memory.
        tensors: Each with its place there.
    """
    for place, tensor in tensors:
        data = bytes_of(tensor.contiguous())
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            yield block.tensor[place + start : place + start + len(piece)], piece


def _copy_each(targets: list[Any], sources: list[Any]) -> None:
    """Copy tensors on one device, with one call for each dtype.

    Given mixed dtypes, PyTorch launches one copy per tensor, which is slow for many tensors.
    """
    groups: dict[Any, tuple[list[Any], list[Any]]] = {}
    for target, source in zip(targets, sources, strict=True):
        ours, theirs = groups.setdefault(source.dtype, ([], []))
        ours.append(without_float8(target))
        theirs.append(without_float8(source))
    for ours, theirs in groups.values():
        torch._foreach_copy_(ours, theirs)


def _kind(value: Any) -> tuple[Any, ...]:
    return value.shape, value.dtype, value.device


def _by_device(values: Sequence[Any]) -> dict[Any, list[int]]:
    groups: dict[Any, list[int]] = {}
    for place, value in enumerate(values):
        groups.setdefault(value.device, []).append(place)
    return groups


def _padded(nbytes: int) -> int:
    return nbytes + -nbytes % _ALIGNMENT


def _buffers_like(values: Sequence[Any]) -> list[Any]:
    """Return empty tensors of the same kinds, with one allocation for each device."""
    buffers: list[Any] = [None] * len(values)
    for device, group in _by_device(values).items():
        sizes = [_padded(values[place].nbytes) for place in group]
        memory = torch.empty(sum(sizes), dtype=torch.uint8, device=device)
        start = 0
        for place, size in zip(group, sizes, strict=True):
            value = values[place]
            piece = memory[start : start + value.nbytes]
            buffers[place] = piece.view(value.dtype).view(value.shape)
            start += size
    return buffers
