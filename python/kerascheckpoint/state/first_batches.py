"""The first batches of a generator, which Keras draws before any callback knows of the training.

Keras looks at their shapes. The random numbers that they were made of are gone by then, so as long
as they are not trained, the file has the batches.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import epoch_iterator
from ..keras_seam.generator_data import first_batches, trains_on_generator
from .encoding import NotSavableError, decode, encode


class FirstBatches:
    """The batches with which a running `fit` begins.

    Args:
        batches: The batches. Training takes them from this list.
        iterator: Keras' epoch iterator.
    """

    def __init__(self, batches: list[Any], iterator: Any) -> None:
        self._batches, self._iterator = batches, iterator

    @classmethod
    def of(cls, model: Any) -> "FirstBatches | None":
        """Return those of the running `fit` of `model`; `None` if it has no generator."""
        if not trains_on_generator(model):
            return None
        return cls(first_batches(model), epoch_iterator(model))

    def capture(self) -> dict[str, Any] | None:
        """Return the batches that are not trained yet; `None` without any."""
        trained = int(self._iterator._steps_seen)
        left = self._batches[trained:]
        with contextlib.suppress(NotSavableError):
            return {"trained": trained, "batches": encode(left)} if left else None
        return None

    @staticmethod
    def check(state: Mapping[str, Any]) -> None:
        """Raise an error if `restore` cannot use the state."""
        if not isinstance(state["trained"], int) or state["trained"] < 0:
            raise ValueError("the number of trained batches is no count")
        if not isinstance(decode(state["batches"]), list):
            raise TypeError("the first batches are no list")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Replace the batches that are not trained yet by those of the run that is resumed."""
        for place, batch in enumerate(decode(state["batches"]), state["trained"]):
            if place < len(self._batches):
                self._batches[place] = batch
