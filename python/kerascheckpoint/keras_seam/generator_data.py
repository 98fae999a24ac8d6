"""The Python generator that a running `fit` trains on: a call before each batch that it draws.

Seen in Keras 3.3 to 3.16.
"""

from collections.abc import Callable, Iterator
from typing import Any

from .fit_control import data_of_fit
from .private import BACKEND

# Whether batches are drawn before they are needed, on a thread of the backend's.
DRAWS_AHEAD = BACKEND == "tensorflow"


def trains_on_generator(model: Any) -> bool:
    """Tell whether the running `fit` of `model` trains on a generator."""
    return type(data_of_fit(model)).__name__ == "GeneratorDataAdapter"


def first_batches(model: Any) -> list[Any]:
    """Return the batches that Keras has drawn to see their shapes; the running `fit` uses the list.

    It is empty if it cannot be found.
    """
    found = getattr(data_of_fit(model), "_first_batches", None)
    return found if isinstance(found, list) else []


def before_each_draw(model: Any, function: Callable[[int], object]) -> None:
    """Let the running `fit` of `model` call a function before each batch that it draws.

    Args:
        model: The model in training.
        function: Called with the number of the batch, which counts from 1 in each iteration. Keras
            has drawn the first ones already, to see their shapes.
    """
    adapter = data_of_fit(model)
    begin = adapter.generator

    class Watched:
        def __init__(self) -> None:
            self.batches = begin()
            self.number = 0

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            self.number += 1
            function(self.number)
            return next(self.batches)

    adapter.generator = Watched
