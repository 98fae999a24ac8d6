"""The R function that a running `fit` takes batches from, through a generator.

reticulate keeps an R function in an object of its class `RGenerator`, and keras3 wraps that in a
Python generator. Whichever thread asks for a batch, R runs on the main thread alone, and batches
come in the order of its calls. Seen in reticulate 1.28 to 1.46, and Keras 3.3 to 3.16.
"""

import inspect
from collections.abc import Callable
from typing import Any

from .fit_control import data_of_fit, local_of_fit


class RFunction:
    """Calls an R function in place of reticulate. Call 1 makes the first batch of `fit`, and so on.

    The first calls have been made when training begins: Keras has looked at the shapes of some
    batches, and for keras3 reticulate has fetched one more.

    Args:
        generator: reticulate's object, which calls the function.
        seen: The batches that Keras has drawn, with which its iterator begins.
    """

    def __init__(self, generator: Any, seen: list[Any]) -> None:
        self._seen = seen
        self._fetched: Any = getattr(getattr(generator, "values_queue", None), "queue", [])
        batches = [*seen, *self._fetched]
        if self._fetched and generator.completed:
            batches.pop()  # a mark of the end
        self._first, self.calls = batches, len(batches)
        self._around: Callable[[int, Callable[[], Any]], Any] = lambda number, call: call()
        function = generator.r_function
        is_ours = isinstance(function, RFunction)  # of an earlier `fit`
        self._function: Callable[[], Any] = function._function if is_ours else function
        generator.r_function = self

    @classmethod
    def of(cls, model: Any) -> "RFunction | None":
        """Return the one of the running `fit` of `model`; `None` if that has no R function."""
        generator = r_generator(model)
        return None if generator is None else cls(generator, data_of_fit(model)._first_batches)

    def wrap(self, around: Callable[[int, Callable[[], Any]], Any]) -> None:
        """Have a function make each further call; it gets the number of the call, and the call."""
        self._around = around

    def __call__(self) -> Any:
        self.calls += 1
        return self._around(self.calls, self._function)

    def first_batches(self, after: int) -> list[Any]:
        """Return the batches made before training began, without the first `after` of them."""
        if after >= len(self._first):
            self._first = []  # nobody needs them any more
        return self._first[after:]

    def replace_first(self, after: int, batches: list[Any]) -> None:
        """Replace the batches made before training began, from the one behind number `after` on."""
        for place, batch in enumerate(batches, after):
            if place < len(self._seen):
                self._seen[place] = batch
            elif place < len(self._first):
                self._fetched[place - len(self._seen)] = batch
        self._first[after : after + len(batches)] = batches


def r_generator(model: Any) -> Any:
    """Return reticulate's object from which the running `fit` draws batches, or `None`."""
    pending, known = [local_of_fit(model, "x")], set()
    while pending:
        found = pending.pop()
        if type(found).__name__ == "RGenerator":
            return found
        if inspect.isgenerator(found) and found.gi_frame is not None and id(found) not in known:
            known.add(id(found))
            pending += found.gi_frame.f_locals.values()
    return None
