"""The random numbers of a generator from which TensorFlow draws ahead of training.

A thread of TensorFlow's draws batches before they are needed, and nobody knows how many. If
the generator uses global random numbers, then at a save these are ahead of training as well. So the
numbers before each draw are remembered until its batch is trained.
"""

import collections
import threading
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import epoch_iterator, trained_batches
from ..keras_seam.generator_data import DRAWS_AHEAD, before_each_draw, trains_on_generator
from .random import capture_process

_TIMEOUT = 60.0  # seconds after which a draw no longer waits for a resume to be complete


class DrawsAhead:
    """Knows the random numbers after each trained batch of a generator.

    Args:
        model: The model in training.
    """

    def __init__(self, model: Any) -> None:
        self._iterator = epoch_iterator(model)
        self._lock = threading.Lock()
        self._before: collections.deque[tuple[int, dict[str, Any]]] = collections.deque()
        self._waiting: int | None = None  # the draw that waits until a resume is complete
        self._is_complete = threading.Event()
        before_each_draw(model, self._note)

    @classmethod
    def of(cls, model: Any) -> "DrawsAhead | None":
        """Return one for the running `fit`; `None` if nothing is drawn ahead of it."""
        return cls(model) if DRAWS_AHEAD and trains_on_generator(model) else None

    @property
    def _trained(self) -> int:
        """Number of trained batches of the current iteration."""
        return trained_batches(self._iterator)

    def capture(self) -> dict[str, Any]:
        """Return the number of trained batches."""
        return {"trained": self._trained}

    def process(self) -> dict[str, Any]:
        """Return the random numbers with which the batch after the trained ones is drawn."""
        with self._lock:
            self._forget()
            if self._before:
                return self._before[0][1]
            # That draw has not begun, and cannot begin while the lock is held.
            return capture_process(with_host=False)

    @staticmethod
    def check(state: Mapping[str, Any]) -> None:
        """Raise an error if this is not a number of batches."""
        if not isinstance(state["trained"], int):
            raise TypeError("the number of trained batches is missing")

    def hold(self, state: Mapping[str, Any]) -> None:
        """Let the draw after the trained batches wait until `release`.

        By then the random numbers are those of the file.
        """
        self._waiting = state["trained"] + 1

    def release(self) -> None:
        """Let a draw that waits go on."""
        self._is_complete.set()

    def _note(self, number: int) -> None:
        if number == self._waiting:
            self._is_complete.wait(_TIMEOUT)
        with self._lock:
            if number == 1:  # a new iteration
                self._before.clear()
            self._forget()
            self._before.append((number, capture_process(with_host=False)))

    def _forget(self) -> None:
        """Forget what was before the draws of trained batches."""
        while self._before and self._before[0][0] <= self._trained:
            self._before.popleft()
