"""The host's random numbers while a `fit` takes batches from a function of the host's, R.

Batches are made before they are trained: reticulate fetches one ahead, and a thread of TensorFlow's
some more. So the random numbers before each call of the function are remembered until its batch is
trained. After a resume, these calls are made again with those numbers, and nothing else notices.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..keras_seam.fit_control import epoch_iterator, trained_batches
from ..keras_seam.generator_data import trains_on_generator
from ..keras_seam.r_generator import RFunction
from . import host


class HostDraws:
    """Knows the host's random numbers before each call whose batch is not trained.

    Everything runs on the main thread. On TensorFlow, though, a call can interrupt the other
    methods between any two operations.

    Args:
        function: The function that makes the batches.
        iterator: Keras' epoch iterator.
    """

    def __init__(self, function: RFunction, iterator: Any) -> None:
        self._function, self._iterator = function, iterator
        self._before: dict[int, str | None] = {}
        self._again: dict[int, str | None] = {}
        self._next = 0
        self._now: str | None = None
        function.wrap(self._call)

    @classmethod
    def of(cls, model: Any) -> "HostDraws | None":
        """Return one that follows the running `fit`; `None` without a function of the host's."""
        is_known = host.is_there() and trains_on_generator(model)
        function = RFunction.of(model) if is_known else None
        return None if function is None else cls(function, epoch_iterator(model))

    @property
    def _trained(self) -> int:
        """Number of trained batches."""
        return trained_batches(self._iterator)

    def capture(self) -> dict[str, Any]:
        """Return the random numbers now, and before each call whose batch is not trained."""
        trained, calls, now = self._trained, -1, None
        while calls != self._function.calls:  # until none comes in between
            calls, now = self._function.calls, host.capture()
        before = dict(self._before)
        made = [before[call] for call in sorted(before) if trained < call <= calls]
        return {"calls": calls, "before": made, "now": now}

    @staticmethod
    def check(state: Mapping[str, Any]) -> None:
        """Raise an error if `restore` cannot use the state."""
        if not isinstance(state["calls"], int):
            raise TypeError("the number of calls is missing")
        for random in [*state["before"], state["now"]]:
            host.check(random)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let calls find the random numbers that they found in the run that is resumed."""
        self._next, self._now = state["calls"] + 1, state["now"]
        self._again = dict(enumerate(state["before"], self._next - len(state["before"])))

    def go_on(self) -> None:
        """Restore the random numbers of the moment of the save, as the data are in place now."""
        host.restore(self._now)
        self._now = None

    def _call(self, number: int, call: Callable[[], Any]) -> Any:
        """Make a call; after a resume with the random numbers that it found before."""
        now, found = host.capture(), self._again.pop(number, None)
        is_next = self._now is not None and number >= self._next  # before `go_on`
        if is_next:
            found = self._now
        for earlier in list(self._before):
            if earlier <= self._trained:
                self._before.pop(earlier, None)
        self._before[number] = found or now
        if found is None:
            return call()
        host.restore(found)
        try:
            return call()
        finally:
            if is_next:
                self._now = host.capture()
            host.restore(now)
