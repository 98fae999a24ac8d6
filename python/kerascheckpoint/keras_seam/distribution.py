"""Keras' distribution, which spreads the variables of a model over devices."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def without_distribution() -> Iterator[None]:
    """Create variables outside of the model's distribution.

    Keras creates a trial optimizer to find out what to save. With a distribution set, each of its
    variables is a collective call, so a process that saves alone would wait for the others. Seen in
    Keras 3.15.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)
