"""The order of the data of an unfinished epoch.

Up to version 3.15, Keras' `fit` shuffles arrays with the random numbers of NumPy on JAX, of PyTorch
on PyTorch, and on TensorFlow with an operation seed that follows from the global seed.
"""

from collections.abc import Mapping
from typing import Any

from .random import capture_process, check_process, restore_process


class DataOrder:
    """The random numbers that determine the order of an epoch's data: the record's "data"."""

    name = "data"
    version = 1

    def __init__(self) -> None:
        self._epoch: dict[str, Any] | None = None

    def begin_epoch(self) -> None:
        """Remember the random numbers that determine the order of the epoch that begins now."""
        self._epoch = capture_process()

    def capture(self) -> dict[str, Any]:
        """Return what the last `begin_epoch` remembered."""
        return {"epoch": self._epoch}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if these are not random numbers."""
        if state["epoch"] is not None:
            check_process(state["epoch"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the random numbers to what they were when the unfinished epoch began."""
        if state["epoch"] is not None:
            restore_process(state["epoch"])
