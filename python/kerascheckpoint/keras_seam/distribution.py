"""Keras' distribution: how the variables of a model are spread over devices."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def without_distribution() -> Iterator[None]:
    """Keep variables that are made meanwhile out of the model's distribution.

    Keras makes a trial optimizer when it looks for what to save. With a distribution set, each of
    its variables is a collective call, in which a process that saves alone waits for the others.
    Seen in Keras 3.15.
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
