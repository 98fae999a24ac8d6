"""The R function that a running `fit` takes batches from, through a generator.

reticulate keeps an R function in an object of its class `RGenerator`, and keras3 wraps that in a
Python generator. Whichever thread asks for a batch, R runs on the main thread alone, and batches
come in the order of its calls. Seen in reticulate 1.28 to 1.46, and Keras 3.3 to 3.16.
"""

import inspect
from collections.abc import Callable
from typing import Any

from .fit_control import local_of_fit
from .generator_data import first_batches


class RFunction:
    """Calls an R function in place of reticulate. Call 1 makes the first batch of `fit`, and so on.

    The first calls have been made when training begins: Keras has looked at the shapes of some
    batches, and for keras3 reticulate has fetched one more.

    Args:
        generator: reticulate's object, which calls the function.
        calls: How many calls have been made.
    """

    def __init__(self, generator: Any, calls: int) -> None:
        self.calls = calls
        self._around: Callable[[int, Callable[[], Any]], Any] = lambda number, call: call()
        function = generator.r_function
        is_ours = isinstance(function, RFunction)  # of an earlier `fit`
        self._function: Callable[[], Any] = function._function if is_ours else function
        generator.r_function = self

    @classmethod
    def of(cls, model: Any) -> "RFunction | None":
        """Return the one of the running `fit` of `model`; `None` if that has no R function."""
        generator = r_generator(model)
        if generator is None:
            return None
        return cls(generator, len(first_batches(model)) + fetched_ahead(model)[1])

    def wrap(self, around: Callable[[int, Callable[[], Any]], Any]) -> None:
        """Have a function make each further call; it gets the number of the call, and the call."""
        self._around = around

    def __call__(self) -> Any:
        self.calls += 1
        return self._around(self.calls, self._function)


def fetched_ahead(model: Any) -> tuple[Any, int]:
    """Return reticulate's queue, and how many batches for the running `fit` it holds.

    Behind the batches, it may hold a mark of the end. Without R, the queue is an empty list.
    """
    generator = r_generator(model)
    queue: Any = getattr(getattr(generator, "values_queue", None), "queue", [])
    return queue, len(queue) - bool(queue and generator.completed)


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
