"""The host's random numbers while a `fit` takes batches from a function of the host's, R.

Batches are made before they are trained: reticulate fetches one ahead, and a thread of TensorFlow's
some more. So the random numbers before each call of the function are remembered until its batch is
trained, and after a resume the call finds them again. The first batches are made before any
callback knows of the training: as long as they are not trained, the file has the batches.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import epoch_iterator
from ..keras_seam.generator_data import trains_on_generator
from ..keras_seam.r_generator import RFunction
from . import host
from .encoding import NotSavableError, decode, encode


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
        self._is_resumed = False
        function.before_each_call(self._note)

    @classmethod
    def of(cls, model: Any) -> "HostDraws | None":
        """Return one that follows the running `fit`; `None` without a function of the host's."""
        is_known = host.is_there() and trains_on_generator(model)
        function = RFunction.of(model) if is_known else None
        return None if function is None else cls(function, epoch_iterator(model))

    @property
    def _trained(self) -> int:
        """Number of trained batches."""
        return int(self._iterator._steps_seen)

    @property
    def is_past(self) -> bool:
        """Whether the function has been called more often than in the run that is resumed.

        From then on, the host's random numbers must not be restored any more.
        """
        return self._is_resumed and not self._again

    def capture(self) -> dict[str, Any]:
        """Return the random numbers before each call whose batch is not trained, and the next."""
        trained, next_call = self._trained, self._function.calls + 1
        now = host.capture()
        before = {next_call: now} | self._before  # with the next call if it has come by now
        calls = sorted(number for number in before if number > trained)
        state = {"trained": trained, "call": calls[0], "host": [before[call] for call in calls]}
        with contextlib.suppress(NotSavableError):
            state["first"] = encode(self._function.first_batches(trained))
        return state

    @staticmethod
    def check(state: Mapping[str, Any]) -> None:
        """Raise an error if `restore` cannot use the state."""
        if not isinstance(state["trained"], int) or not isinstance(state["call"], int):
            raise TypeError("the number of trained batches or of calls is missing")
        for random_state in state["host"]:
            host.check(random_state)
        decode(state.get("first"))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let further calls find the random numbers that they found in the run that is resumed."""
        self._again = dict(enumerate(state["host"], state["call"]))
        self._is_resumed = True
        self._function.replace_first(state["trained"], decode(state.get("first")) or [])

    def _note(self, number: int) -> None:
        if number in self._again:
            host.restore(self._again.pop(number))
        for call in list(self._before):
            if call <= self._trained:
                self._before.pop(call, None)
        self._before[number] = host.capture()
