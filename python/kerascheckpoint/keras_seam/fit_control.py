"""Steer a running `fit`: where it starts, and what its local variables hold."""

import ctypes
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .private import BACKEND, VERSION

# Whether `fit` draws a batch before `on_train_batch_begin`. If not, there may be no such batch.
DRAWS_BEFORE_BATCH_BEGINS = BACKEND == "torch"

# With several steps per execution, Keras before 3.11 passes the first batch index to
# `on_train_batch_end`, later versions the last.
BATCH_END_NAMES_FIRST = VERSION < (3, 11)

_LOGS = "training_logs"  # the local variable of `fit` for the logs of the last epoch


def is_fitting(model: Any, frame: FrameType | None) -> bool:
    """Tell whether a `fit` of `model` is on the stack that ends in `frame`."""
    while frame is not None and model is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False


def callbacks_of_fit(model: Any) -> list[Any]:
    """Return the callbacks that the user passed to the running `fit`, in order.

    They do not include the history and progress bar that Keras adds. The list is empty if they
    cannot be found. `fit` keeps them in a local variable. Seen in Keras 3.3 to 3.15.
    """
    found = callback_list(model)
    own = [getattr(found, name, None) for name in ("_history", "_progbar")]
    return [each for each in getattr(found, "callbacks", []) if each not in own]


def list_once(model: Any, callback: Any) -> bool:
    """Let the running `fit` tell a callback of each event once; return whether it was listed twice.

    The event that is being told goes to all places of the list.
    """
    found = callback_list(model)
    listed = getattr(found, "callbacks", [])
    more = [place for place, each in enumerate(listed) if each is callback][1:]
    if more:
        found.callbacks = [each for place, each in enumerate(listed) if place not in more]
    return bool(more)


def before_first_epoch(model: Any, function: Callable[[], None]) -> None:
    """Make the running `fit` call a function once, before any callback's first `on_epoch_begin`.

    By then every `on_train_begin` has run, which resets some callbacks. If the list of callbacks
    cannot be found, nothing happens.
    """
    _before_next(model, "on_epoch_begin", function)


def before_train_end(model: Any, function: Callable[[], None]) -> None:
    """Make the running `fit` call a function once, before any callback's `on_train_end`.

    If the list of callbacks cannot be found, nothing happens.
    """
    _before_next(model, "on_train_end", function)


def _before_next(model: Any, event: str, function: Callable[[], None]) -> None:
    callbacks = callback_list(model)
    if callbacks is None:
        return
    tell = getattr(callbacks, event)

    def call_and_tell(*arguments: Any, **settings: Any) -> None:
        vars(callbacks)[event] = tell
        function()
        getattr(callbacks, event)(*arguments, **settings)

    setattr(callbacks, event, call_and_tell)


def after_epoch_ends(model: Any, function: Callable[[], None]) -> None:
    """Make the running `fit` call a function after the last callback's `on_epoch_end`, every epoch.

    If the list of callbacks cannot be found, nothing happens.
    """
    callbacks = callback_list(model)
    if callbacks is None:
        return
    end = callbacks.on_epoch_end

    def end_and_call(*arguments: Any, **settings: Any) -> None:
        end(*arguments, **settings)
        function()

    callbacks.on_epoch_end = end_and_call


def callback_list(model: Any) -> Any:
    """Return the `CallbackList` of the running `fit`, or `None` if it is not found."""
    return local_of_fit(model, "callbacks")


def epoch_iterator(model: Any) -> Any:
    """Return the epoch iterator that yields batches to the running `fit`, or `None`.

    `fit` keeps it in a local variable. Seen in Keras 3.3 to 3.16.
    """
    iterator = local_of_fit(model, "epoch_iterator")
    return iterator if hasattr(iterator, "data_adapter") else None


def trained_batches(iterator: Any) -> int:
    """Return how many batches of its current iteration an epoch iterator has given to training."""
    return int(iterator._steps_seen)


def data_of_fit(model: Any) -> Any:
    """Return Keras' adapter for the data of the running `fit`, or `None` if it is not found."""
    return getattr(epoch_iterator(model), "data_adapter", None)


def epochs_of_fit(model: Any) -> int | None:
    """Return the argument `epochs` of the running `fit`, if it can be found."""
    epochs = local_of_fit(model, "epochs")
    return epochs if isinstance(epochs, int) else None


def initial_epoch_of_fit(model: Any) -> int:
    """Return the argument `initial_epoch` of the running `fit`, 0 if it cannot be found."""
    epoch = local_of_fit(model, "initial_epoch")
    return epoch if isinstance(epoch, int) else 0


def local_of_fit(model: Any, name: str) -> Any:
    """Return a local variable of the `fit` of `model` running on this thread, or `None`."""
    frame = _frame_of_fit(model)
    return None if frame is None else frame.f_locals.get(name)


def _frame_of_fit(model: Any) -> FrameType | None:
    """Return the frame of the `fit` of `model` running on this thread, or `None`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        is_fit = frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model
        if is_fit and "callbacks" in frame.f_locals:
            return frame
        frame = frame.f_back
    return None


def _allow_no_epoch(model: Any) -> None:
    """Let the running `fit` end without an epoch, as it does by itself since Keras 3.7.

    Before, on JAX and PyTorch, `fit` passes a local variable to `on_train_end` that only an epoch
    sets, so it raises an UnboundLocalError. Later versions start with this value.
    """
    frame = _frame_of_fit(model)
    if frame is None or _LOGS not in frame.f_code.co_varnames or _LOGS in frame.f_locals:
        return
    frame.f_locals[_LOGS] = {}
    if sys.version_info < (3, 13):  # later versions write it into the frame at once
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))


class _Epoch(int):
    """An epoch index that is true even if 0, because Keras uses `_initial_epoch or initial_epoch`.

    In a later `fit` it is false, in case the `fit` for which it was made has raised.
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
    if epoch >= (epochs_of_fit(model) or epoch + 1):
        _allow_no_epoch(model)


def forget_start(model: Any) -> None:
    """Undo `start_at_epoch`, so that a later `fit` starts at its own `initial_epoch`."""
    model._initial_epoch = None
