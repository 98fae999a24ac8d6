"""The Python generator that a running `fit` trains on: a call before each batch that it draws.

Seen in Keras 3.3 to 3.16.
"""

from collections.abc import Callable, Iterator
from typing import Any

from .fit_control import data_of_fit
from .private import BACKEND


def trains_on_generator(model: Any) -> bool:
    """Tell whether the running `fit` of `model` trains on a generator, batch by batch.

    TensorFlow draws from it ahead of training, by a number of batches that nobody can ask for.
    """
    adapter = data_of_fit(model)
    return type(adapter).__name__ == "GeneratorDataAdapter" and BACKEND in ("jax", "torch")


def before_each_draw(model: Any, function: Callable[[], object]) -> None:
    """Let the running `fit` of `model` call a function before each batch that it draws."""
    adapter = data_of_fit(model)
    begin = adapter.generator

    class Watched:
        def __init__(self) -> None:
            self.batches = begin()

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            function()
            return next(self.batches)

    adapter.generator = Watched
