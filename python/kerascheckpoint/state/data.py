"""The order of the data of an unfinished epoch.

In Keras up to 3.15 `fit` shuffles arrays by random numbers: NumPy's on JAX, PyTorch's own on
PyTorch, and on TensorFlow those of the operation's seed, which follows from the global seed.
"""

from collections.abc import Mapping
from typing import Any

from .random import capture_process, check_process, restore_process


class DataOrder:
    """The random numbers from which the order of an epoch follows: the record's "data"."""

    name = "data"
    version = 1

    def __init__(self) -> None:
        self._epoch: dict[str, Any] | None = None

    def begin_epoch(self) -> None:
        """Keep the random numbers that decide the order of the epoch that begins now."""
        self._epoch = capture_process()

    def capture(self) -> dict[str, Any]:
        """Return what the last `begin_epoch` kept."""
        return {"epoch": self._epoch}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise if these are no random numbers."""
        if state["epoch"] is not None:
            check_process(state["epoch"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the random numbers back as they were when the unfinished epoch began."""
        if state["epoch"] is not None:
            restore_process(state["epoch"])
