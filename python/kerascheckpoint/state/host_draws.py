"""The host's random numbers while a `fit` draws batches from a generator.

A generator of R's is one batch ahead: when it is asked for a batch, it draws random numbers for the
next one. So the numbers before the newest batch was asked for decide the batch after it.
"""

from collections.abc import Mapping
from typing import Any

from ..keras_seam.generator_data import DRAWS_AHEAD, before_each_draw, trains_on_generator
from . import host


class HostDraws:
    """Follows the draws of a generator, and repeats the newest one after a resume.

    Args:
        model: The model in training.
    """

    def __init__(self, model: Any) -> None:
        self._count = 0
        self._before: str | None = None
        self._again: tuple[int, str] | None = None
        before_each_draw(model, self._note)

    @classmethod
    def of(cls, model: Any) -> "HostDraws | None":
        """Return one that follows the running `fit`; `None` without a host or a generator."""
        is_known = host.is_there() and not DRAWS_AHEAD
        return cls(model) if is_known and trains_on_generator(model) else None

    def capture(self) -> dict[str, Any]:
        """Return the number of draws, and the host's random numbers before the newest."""
        return {"draws": self._count, "host": self._before}

    @staticmethod
    def check(state: Mapping[str, Any]) -> None:
        """Raise an error if these are not a number of draws and random numbers."""
        if not isinstance(state["draws"], int):
            raise TypeError("the number of draws is missing")
        host.check(state["host"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the draw of that number use those random numbers again."""
        if state["host"] is not None:
            self._again = state["draws"], state["host"]

    def _note(self, number: int) -> None:
        self._count += 1
        if self._again is not None and self._count == self._again[0]:
            host.restore(self._again[1])
            self._again = None
        self._before = host.capture()
