"""The first batches of a generator, which are drawn before any callback knows of the training.

Keras looks at their shapes, and reticulate fetches one more. The random numbers that they were made
of are gone by then, so as long as they are not trained, the file has the batches.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from ..keras_seam.fit_control import epoch_iterator, trained_batches
from ..keras_seam.generator_data import first_batches, trains_on_generator
from ..keras_seam.r_generator import fetched_ahead
from .encoding import NotSavableError, decode, encode


class FirstBatches:
    """The batches with which a running `fit` begins.

    Args:
        seen: The batches that Keras has drawn. Training takes them from this list.
        fetched: The queue from which training takes the batches after these.
        count: How many that queue holds.
        iterator: Keras' epoch iterator.
    """

    def __init__(self, seen: list[Any], fetched: Any, count: int, iterator: Any) -> None:
        self._seen, self._fetched, self._iterator = seen, fetched, iterator
        self._batches = [*seen, *fetched][: len(seen) + count]

    @classmethod
    def of(cls, model: Any) -> "FirstBatches | None":
        """Return those of the running `fit` of `model`; `None` if it has no generator."""
        if not trains_on_generator(model):
            return None
        return cls(first_batches(model), *fetched_ahead(model), epoch_iterator(model))

    def capture(self) -> dict[str, Any] | None:
        """Return the batches that are not trained yet; `None` without any."""
        trained = trained_batches(self._iterator)
        left = self._batches[trained:]
        if not left:
            self._batches = []  # nobody needs them any more
            return None
        with contextlib.suppress(NotSavableError):
            return {"trained": trained, "batches": encode(left)}
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
            if place >= len(self._batches):
                break
            self._batches[place] = batch
            if place < len(self._seen):
                self._seen[place] = batch
            else:
                self._fetched[place - len(self._seen)] = batch
