"""Steer a running `fit`: where it starts, and which batches it draws without training on them."""

import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import keras

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
    found = _callback_list(model)
    own = [getattr(found, name, None) for name in ("_history", "_progbar")]
    return [each for each in getattr(found, "callbacks", []) if each not in own]


def before_first_epoch(model: Any, function: Callable[[], None]) -> None:
    """Let the running `fit` call a function once, before any callback hears of the first epoch.

    By then every callback has heard that training begins, which resets some. If the list of
    callbacks cannot be found, nothing happens.
    """
    callbacks = _callback_list(model)
    if callbacks is None:
        return
    behind = callbacks.on_epoch_begin

    def begin(*arguments: Any, **settings: Any) -> None:
        vars(callbacks)["on_epoch_begin"] = behind
        function()
        callbacks.on_epoch_begin(*arguments, **settings)

    callbacks.on_epoch_begin = begin


def _callback_list(model: Any) -> Any:
    frame = fit_frame(model)
    return None if frame is None else frame.f_locals.get("callbacks")


def data_of_fit(model: Any) -> Any:
    """Return the adapter that Keras has put around the data of the running `fit`, if it is found.

    `fit` keeps what iterates over it in a local variable. Seen in Keras 3.3 to 3.15.
    """
    frame = fit_frame(model)
    iterator = None if frame is None else frame.f_locals.get("epoch_iterator")
    return getattr(iterator, "data_adapter", None)


def epochs_of_fit(model: Any) -> int | None:
    """Return the argument `epochs` of the running `fit`, if it can be found."""
    frame = fit_frame(model)
    epochs = frame.f_locals.get("epochs") if frame is not None else None
    return epochs if isinstance(epochs, int) else None


def rebuild_dataset(model: Any) -> None:
    """Make the dataset of the running `fit` anew from its arrays, under the seed set by now.

    `fit` builds its data before it tells any callback of anything. Only TensorFlow shuffles arrays
    by a dataset. Seen in Keras 3.3 to 3.15; where the pieces are missing, nothing happens.
    """
    frame = fit_frame(model)
    iterator: Any = frame.f_locals.get("epoch_iterator") if frame is not None else None
    adapter = getattr(iterator, "data_adapter", None)
    if adapter is None or not hasattr(adapter, "_shuffle"):
        return
    if not hasattr(iterator, "_distributed_dataset"):
        return
    dataset = adapter.get_tf_dataset()
    strategy = iterator._distribute_strategy
    iterator._distributed_dataset = strategy.experimental_distribute_dataset(dataset)


def fit_frame(model: Any) -> FrameType | None:
    """Return the frame of the `fit` of `model` that is running on this thread, if there is one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        is_fit = frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model
        if is_fit and "callbacks" in frame.f_locals:
            return frame
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


def skip_batches(
    model: Any, count: int, on_first: Callable[[], None], on_last: Callable[[], None]
) -> Callable[[], None]:
    """Make the running `fit` draw its next `count` batches without training on them.

    `fit` looks up the training function at each batch. A function that only draws replaces it, and
    removes itself after the last of these batches.

    Args:
        model: The model in training.
        count: Number of batches to skip, 1 or more.
        on_first: Called when the first batch is drawn and everything is built.
        on_last: Called when the last of these batches is drawn.

    Returns:
        A function that stops the skipping, if it has not ended yet.
    """
    train, history = model.train_function, model.history
    left = count
    end_silence = _silence_batches(model, lambda: left <= 0)

    def draw(*arguments: Any) -> Any:
        nonlocal left
        # A later fit, after an exception in this one, or train_on_batch() must train.
        if model.history is not history or not is_fitting(model, sys._getframe(1)):
            cancel()
            return train(*arguments)
        batches = arguments[-1]
        if BACKEND != "torch" and not isinstance(batches, list):
            _draw(model, batches, left, is_first=left == count)
        if left == count:
            on_first()
        left -= model.steps_per_execution
        if left <= 0:
            cancel()
            on_last()
        return _train_result(model, arguments)

    def cancel() -> None:
        if model.train_function is draw:
            model.train_function = train

    def end() -> None:
        cancel()
        end_silence()

    model.train_function = draw
    return end


def _draw(model: Any, batches: Any, left: int, *, is_first: bool) -> None:
    """Draw the batches of one execution, at most `left`; build the model on the first one."""
    drawn = [next(batches) for _ in range(min(model.steps_per_execution, left))]
    if is_first and BACKEND == "tensorflow":
        with contextlib.suppress(AttributeError):
            model._symbolic_build(data_batch=drawn[0])


def _train_result(model: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what the training function would return if it left everything as it is."""
    if BACKEND != "jax":
        return model.get_metrics_result()
    # While JAX trains, the values of variables are in the state that is passed around.
    state = arguments[0]
    values = zip(model.metrics_variables, state[-1], strict=True)
    with keras.StatelessScope(state_mapping=values):
        return model.get_metrics_result(), state


def _silence_batches(model: Any, is_over: Callable[[], bool]) -> Callable[[], None]:
    """Hide skipped batches from all callbacks.

    Args:
        model: The model in training.
        is_over: Called when a batch begins; returns whether this batch is trained.

    Returns:
        A function that shows batches to callbacks again.
    """
    frame = fit_frame(model)
    callbacks = frame.f_locals["callbacks"] if frame is not None else None
    if callbacks is None:
        return lambda: None
    names = ("on_train_batch_begin", "on_train_batch_end")

    def begin(*arguments: Any, **settings: Any) -> None:
        if is_over():
            end()
            callbacks.on_train_batch_begin(*arguments, **settings)

    def end() -> None:
        for name in names:
            vars(callbacks).pop(name, None)

    callbacks.on_train_batch_begin = begin
    callbacks.on_train_batch_end = lambda *arguments, **settings: None
    return end
