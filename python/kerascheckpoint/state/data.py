"""The order of the data: what decided it when an epoch began.

In Keras up to 3.15 `fit` shuffles arrays by random numbers: NumPy's on JAX, PyTorch's own on
PyTorch, and on TensorFlow those of the operation's seed, which follows from the global seed.
"""

from typing import Any

from ..backends import tensorflow_seed
from ..keras_seam.fit_control import rebuild_dataset
from ..keras_seam.private import BACKEND
from . import random as random_state

NAME = "data"
VERSION = 1


def capture_epoch() -> dict[str, Any]:
    """Return the random numbers that decide the order of the epoch that begins now."""
    return random_state.capture_process()


def capture(epoch: dict[str, Any] | None) -> dict[str, Any]:
    """Return the state as a JSON object.

    Args:
        epoch: What `capture_epoch` returned, in the middle of an epoch; else `None`.
    """
    seed = tensorflow_seed.get() if BACKEND == "tensorflow" else None
    return {"version": VERSION, "epoch": epoch, "seed": seed}


def restore(state: dict[str, Any]) -> None:
    """Put the random numbers back as they were when the unfinished epoch began."""
    if state["epoch"] is not None:
        random_state.restore_process(state["epoch"])


def restore_seed(model: Any, state: dict[str, Any]) -> None:
    """Give the running `fit` of `model` the order of the run before; for TensorFlow alone."""
    seed = state.get("seed")
    if BACKEND == "tensorflow" and isinstance(seed, int):
        if seed != tensorflow_seed.get():
            tensorflow_seed.set(seed)
        rebuild_dataset(model)
