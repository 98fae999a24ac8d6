"""What each Keras backend tells of its arrays: one interface for the rest of the package.

A *held* value is what remains of a variable once its value of now has been taken hold of: a NumPy
array where it lies in the host's memory, else the backend's own array on its device.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


class Transfer(Protocol):
    """Arrays on their way from a device to the host."""

    def wait(self) -> list[Array]:
        """Return them in the host's memory, in their order, as soon as all are there."""

    def release(self) -> None:
        """Let the memory of the arrays that `wait` returned be used again."""


class DeviceCopies(Protocol):
    """Copies of arrays on their device, out of the reach of training."""

    def to_host(self, places: Sequence[int], size: int) -> Transfer:
        """Start to bring the copies to the host; see `DeviceCopier.to_host`."""

    def release(self) -> None:
        """Let the device's memory be used again; safe to call twice."""


class DeviceCopier(Protocol):
    """Copies arrays on their device, and from there to the host, and waits for neither."""

    problem: str | None
    """Why the host's memory is not pinned, as soon as that is known; `None` while it is."""

    def prepare(self, values: Sequence[Any], size: int) -> None:
        """Do beforehand, on any thread, what the first copy would take long for.

        Args:
            values: Arrays on devices, of which only shape, dtype and device count.
            size: Bytes of host memory that a transfer of them needs.
        """

    def room(self, values: Sequence[Any]) -> list[tuple[int, int, int]]:
        """Return for each device the bytes that a copy takes, that are free, and that there are.

        A device that needs no new memory is left out; one that cannot be asked has none.
        """

    def copy(self, values: Sequence[Any]) -> DeviceCopies:
        """Start to copy arrays on their devices, and return at once."""

    def to_host(self, values: Sequence[Any], places: Sequence[int], size: int) -> Transfer:
        """Start to bring arrays to the host as they are now, whatever training does next.

        Args:
            values: Arrays on devices.
            places: Where in one block of host memory each should lie, if the copier can choose.
            size: Bytes of that block.
        """


class Backend(Protocol):
    """A module of this folder: `tensorflow`, `jax`, `torch` or `other`."""

    KEEPS_VALUES: bool
    """Whether what is held of a variable keeps its value when training goes on."""

    def is_on_device(self, value: Any) -> bool:
        """Tell whether an array or tensor lies in the memory of a GPU or its like."""

    def hold(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Take hold of the values of now; bring none from a device to the host."""

    def to_host(self, held: Any) -> Array:
        """Return a held value as a NumPy array, copied only if it lies on a device."""

    def shape_and_dtype(self, held: Any) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
        """Return what `to_host` would have, without a transfer."""

    def new_copier(self) -> DeviceCopier:
        """Return a copier of arrays on devices."""
