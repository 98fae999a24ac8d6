"""Steer a running `fit`: where it starts, and what its local variables hold."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .private import BACKEND, VERSION

# Whether `fit` draws a batch before it announces it; else it may find that there is none.
DRAWS_BEFORE_BATCH_BEGINS = BACKEND == "torch"

# With several steps per execution, Keras before 3.11 passes the first batch index to
# `on_train_batch_end`, later versions the last.
BATCH_END_NAMES_FIRST = VERSION < (3, 11)


def is_fitting(model: Any, frame: FrameType | None) -> bool:
    """Tell whether a `fit` of `model` is on the stack that ends in `frame`."""
    while frame is not None and model is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False


def callbacks_of_fit(model: Any) -> list[Any]:
    """Return the callbacks that the user gave to the running `fit`, in their order.

    Without the history and the progress bar that Keras adds; none if they cannot be found. `fit`
    keeps them in a local variable. Seen in Keras 3.3 to 3.15.
    """
    found = callback_list(model)
    own = [getattr(found, name, None) for name in ("_history", "_progbar")]
    return [each for each in getattr(found, "callbacks", []) if each not in own]


def before_first_epoch(model: Any, function: Callable[[], None]) -> None:
    """Let the running `fit` call a function once, before any callback hears of the first epoch.

    By then every callback has heard that training begins, which resets some. If the list of
    callbacks cannot be found, nothing happens.
    """
    callbacks = callback_list(model)
    if callbacks is None:
        return
    behind = callbacks.on_epoch_begin

    def begin(*arguments: Any, **settings: Any) -> None:
        vars(callbacks)["on_epoch_begin"] = behind
        function()
        callbacks.on_epoch_begin(*arguments, **settings)

    callbacks.on_epoch_begin = begin


def callback_list(model: Any) -> Any:
    """Return what tells the callbacks of the running `fit` of its events, `None` if not found."""
    return _local_of_fit(model, "callbacks")


def epoch_iterator(model: Any) -> Any:
    """Return what gives the running `fit` its batches, `None` if it is not found.

    `fit` keeps it in a local variable. Seen in Keras 3.3 to 3.16.
    """
    iterator = _local_of_fit(model, "epoch_iterator")
    return iterator if hasattr(iterator, "data_adapter") else None


def data_of_fit(model: Any) -> Any:
    """Return the adapter that Keras has put around the data of the running `fit`, if found."""
    return getattr(epoch_iterator(model), "data_adapter", None)


def epochs_of_fit(model: Any) -> int | None:
    """Return the argument `epochs` of the running `fit`, if it can be found."""
    epochs = _local_of_fit(model, "epochs")
    return epochs if isinstance(epochs, int) else None


def _local_of_fit(model: Any, name: str) -> Any:
    """Return a local variable of the `fit` of `model` that is running on this thread, or `None`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        is_fit = frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model
        if is_fit and "callbacks" in frame.f_locals:
            return frame.f_locals.get(name)
        frame = frame.f_back
    return None


class _Epoch(int):
    """An epoch number that is true even at 0, because Keras uses `_initial_epoch or initial_epoch`.

    It is false in a later `fit`, because the one it was made for may have raised.
    """

    model: Any
    history: Any

    def __bool__(self) -> bool:
        if getattr(self.model, "history", None) is self.history:
            return True
        forget_start(self.model)
        return False


def start_at_epoch(model: Any, epoch: int) -> None:
    """Make the `fit` that is about to begin start at `epoch`, as Keras' BackupAndRestore does."""
    start = _Epoch(epoch)
    start.model, start.history = model, getattr(model, "history", None)
    model._initial_epoch = start


def forget_start(model: Any) -> None:
    """Undo `start_at_epoch`, so that a later `fit` starts where it is told to."""
    model._initial_epoch = None
