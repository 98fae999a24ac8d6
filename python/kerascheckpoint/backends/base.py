"""The interface that each Keras backend implements for its arrays.

A *held* value is the value that a variable had at one moment: a NumPy array if it lies in host
memory, else the backend's own array on its device.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]

PIECE = 32 << 20
"""Bytes that a save transfers at once beside training, whose own transfers wait for them."""


class Transfer(Protocol):
    """Arrays on their way from a device to the host."""

    def wait(self) -> list[Array]:
        """Wait for all arrays; return them in host memory, in order."""

    def release(self) -> None:
        """Free the memory of the arrays that `wait` returned for reuse."""


class DeviceCopies(Protocol):
    """Copies of arrays on their device, which training cannot change."""

    def to_host(self, places: Sequence[int], size: int) -> Transfer:
        """Transfer the copies to the host in pieces of `PIECE` bytes; see `DeviceCopier.to_host`.

        It may return only when most have arrived. Call it on the writing thread.
        """

    def release(self) -> None:
        """Free the device's memory for reuse; safe to call twice."""


class DeviceCopier(Protocol):
    """Starts copies of arrays on their device, and from there to the host, without waiting."""

    problem: str | None
    """Why host memory could not be pinned; `None` if no attempt has failed."""

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Do the slow part of the first copy in advance, on any thread.

        Args:
            values: Arrays on devices; only their shapes, dtypes and devices are used.
            size: Bytes of host memory that a transfer of them needs.
        """

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return for each device the bytes that a copy needs, free bytes and total bytes.

        A device that needs no new memory is left out. One that does not report its memory counts
        as full.
        """

    def copy(self, values: Sequence[Any]) -> DeviceCopies:
        """Start to copy arrays on their devices, and return immediately."""

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> Transfer:
        """Start to transfer the current values of arrays to the host, whatever training does next.

        Args:
            values: Arrays on devices.
            places: Where each should lie in one block of host memory, if the copier can choose.
            size: Size of that block, in bytes.
        """


class Backend(Protocol):
    """A module of this folder: `tensorflow`, `jax`, `torch` or `other`."""

    KEEPS_VALUES: bool
    """Whether held values stay the same while training continues."""

    def is_on_device(self, value: Any) -> bool:
        """Tell whether an array or tensor lies in the memory of a GPU or other accelerator."""

    def hold(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the current values, without transferring any from a device to the host."""

    def to_host(self, held: Any) -> Array:
        """Return a held value as a NumPy array, copied only if it lies on a device."""

    def shape_and_dtype(self, held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
        """Return the shape and dtype that `to_host` would give, without a transfer."""

    def new_copier(self) -> DeviceCopier:
        """Return a copier of arrays on devices."""
