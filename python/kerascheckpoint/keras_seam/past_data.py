"""Move the data of a running `fit` forward to the batch with which a resumed run continues.

`fit` builds its data before it calls any callback, and the script of a resumed run creates them
again. They are reached through the local variable `epoch_iterator` of `fit`. Seen in Keras 3.3 to
3.16.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras

from .array_data import ArrayData
from .fit_control import callback_list, epoch_iterator
from .pipeline_data import advice
from .private import BACKEND
from .py_dataset import count_epochs, holds_batches, start_at_index

Show = Callable[[str], object]  # shows a line of text

_EPOCH_METHODS = ("_enumerate_iterator", "enumerate_epoch")  # newer and older Keras
_SILENT = 3.0  # seconds before the first line of progress, and between lines


def pass_over_epochs(
    model: Any, epochs: int, epoch_steps: int | None, show: Show, *, has_place: bool = False
) -> None:
    """Move the data of the running `fit` of `model` past a number of epochs.

    Some data have to be drawn again. Otherwise each epoch begins a new iterator: arrays and
    PyTorch's loaders then need nothing, a `PyDataset` gets its epoch hooks called, and a `tf.data`
    pipeline needs as many iterators, because their number determines how it shuffles.

    Args:
        model: The model in training.
        epochs: Number of completed epochs.
        epoch_steps: Batches of each, if known.
        show: Shows the progress if drawing takes seconds.
        has_place: Whether `ArrayData`, `LoaderData` or `PipelineData` moves the data.
    """
    iterator = epoch_iterator(model)
    if iterator is None:
        return
    adapter = iterator.data_adapter
    if ArrayData.of(model) is None:
        _rebuild_dataset(iterator, adapter)
    if has_place:
        return
    if _must_be_drawn_again(iterator, adapter):
        total = epochs * (iterator.steps_per_epoch or epoch_steps or 0)
        progress = _Progress("the data of the completed epochs", total, show, advice(iterator))
        for _ in range(epochs):
            _draw_epoch(iterator, progress)
        return
    if hasattr(adapter, "_epoch"):
        adapter._epoch += epochs  # Keras 3.16 and later shuffle by it
    kind = type(adapter).__name__
    if kind == "PyDatasetAdapter":
        count_epochs(adapter, epochs)
    elif kind == "TFDatasetAdapter":
        _begin_pipelines(iterator, adapter, epochs, epoch_steps)


def _must_be_drawn_again(iterator: Any, adapter: Any) -> bool:
    """Tell whether only drawing the batches of completed epochs again gets past them.

    That is so with `steps_per_epoch`, where one iterator serves all epochs, for a Python generator,
    which cannot start again, and for a loader that counts its epochs itself (torchdata's
    `StatefulDataLoader`).
    """
    kind = type(adapter).__name__
    return bool(
        iterator.steps_per_epoch
        or kind == "GeneratorDataAdapter"
        or hasattr(getattr(adapter, "_dataloader", None), "state_dict")
        or (kind == "PyDatasetAdapter" and holds_batches(adapter))
    )


def begin_after(
    model: Any,
    count: int,
    show: Show,
    on_first: Callable[[], None],
    on_last: Callable[[], None],
    *,
    is_past: bool = False,
) -> None:
    """Make the epoch that begins in the running `fit` of `model` continue after `count` batches.

    They are skipped, and not even drawn if possible. `fit` gets one step instead, which trains
    nothing and reaches no callback, so that it has logs even if no batch is left.

    Args:
        model: The model in training.
        count: Number of batches that are done, 1 or more.
        show: Shows the progress of slow data.
        on_first, on_last: Called once the metrics are built, and once the data are in place.
        is_past: Whether the data are past those batches already.

    Raises:
        RuntimeError: If the data of this `fit` cannot be reached.
    """
    iterator = _required_iterator(model)
    name = next(each for each in _EPOCH_METHODS if hasattr(iterator, each))
    whole_epoch = getattr(iterator, name)

    def rest_of_epoch() -> Iterator[Any]:
        vars(iterator).pop(name)
        wait_for_start = _nothing if is_past else start_at_index(iterator, count)
        steps, draws = whole_epoch(), not wait_for_start
        step = _pass_over(iterator, model, steps, count, show, on_first, draws=draws)
        (wait_for_start or _nothing)()
        on_last()
        yield _step_without_training(model, step)
        yield from steps

    setattr(iterator, name, rest_of_epoch)


def _nothing() -> None:
    """Do nothing."""


def _required_iterator(model: Any) -> Any:
    iterator = epoch_iterator(model)
    if iterator is None:
        raise RuntimeError(
            "the fit() of this model keeps its data where kerascheckpoint cannot reach them, so "
            "it cannot continue in the middle of an epoch; resume from a checkpoint that was saved "
            "at the end of an epoch"
        )
    return iterator


def _pass_over(
    iterator: Any,
    model: Any,
    steps: Iterator[Any],
    count: int,
    show: Show,
    on_first: Callable[[], None],
    *,
    draws: bool,
) -> Any:
    """Take the steps of the batches that are done, and return the last one.

    Args:
        iterator: Keras' epoch iterator.
        model: The model in training.
        steps: The steps of the epoch.
        count, show, on_first: As for `begin_after`.
        draws: Whether to draw the batches of the steps.
    """
    step = None
    progress = _Progress("the batches that are done", count, show, advice(iterator))
    with contextlib.suppress(StopIteration):  # the data may have become fewer
        for done in range(0, count, iterator.steps_per_execution):
            step = next(steps)
            first = _draw(iterator, step, count - done) if draws else None
            if not done:
                _build_metrics(iterator, model, first)
                on_first()
            progress.add(iterator.steps_per_execution)
    return step


class _Progress:
    """Shows how far something is, once it has taken a few seconds."""

    def __init__(self, what: str, total: int, show: Show, advice: str) -> None:
        self._what, self._total, self._show, self._advice = what, total, show, advice
        self._done, self._last_shown = 0, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._last_shown > _SILENT:
            self._last_shown = time.monotonic()
            place = f"batch {self._done} of {self._total}"
            self._show(f"drawing {self._what} again: {place}{self._advice}")
            self._advice = ""  # once is enough


def _rebuild_dataset(iterator: Any, adapter: Any) -> None:
    """Create the dataset by which TensorFlow shuffles arrays again, with the current seed."""
    if hasattr(adapter, "_shuffle") and hasattr(iterator, "_distributed_dataset"):
        strategy = iterator._distribute_strategy
        dataset = adapter.get_tf_dataset()
        iterator._distributed_dataset = strategy.experimental_distribute_dataset(dataset)


def _draw_epoch(iterator: Any, progress: _Progress) -> None:
    """Draw the batches of a whole epoch as `fit` draws them."""
    catch = getattr(iterator, "catch_stop_iteration", contextlib.nullcontext)
    with catch():
        steps = iterator if hasattr(iterator, "_enumerate_iterator") else iterator.enumerate_epoch()
        for *_, batches in steps:
            if not isinstance(batches, list):  # an iterator, from which the train step draws
                for _ in range(iterator.steps_per_execution):
                    next(batches)
            progress.add(iterator.steps_per_execution)


def _draw(iterator: Any, step: Any, left: int) -> Any:
    """Draw the batches of one step, at most `left` of them; return the first."""
    batches = step[-1]
    if isinstance(batches, list):
        return batches[0]
    drawn = [next(batches) for _ in range(min(iterator.steps_per_execution, left))]
    return drawn[0]


def _begin_pipelines(iterator: Any, adapter: Any, epochs: int, epoch_steps: int | None) -> None:
    """Begin as many iterators of a `tf.data` pipeline as the completed epochs did."""
    if BACKEND != "tensorflow":
        for _ in range(epochs):
            iter(adapter.get_tf_dataset())
        return
    for epoch in range(epochs):
        if iterator.num_batches:
            for _step in iterator if hasattr(iterator, "_enumerate_iterator") else ():
                pass  # the steps are iterators, from which nothing is drawn
        else:
            iter(iterator._distributed_dataset)
        if not epoch and not iterator.num_batches:
            iterator._num_batches = epoch_steps  # `fit` knows after the first epoch


def _build_metrics(iterator: Any, model: Any, batch: Any) -> None:
    """Build the metrics, which TensorFlow otherwise builds in the first train step."""
    if BACKEND != "tensorflow":
        return
    if batch is None:
        import tensorflow as tf

        specs = iterator._distributed_dataset.element_spec
        batch = tf.nest.map_structure(
            lambda spec: tf.zeros([length or 1 for length in spec.shape], spec.dtype), specs
        )
    with contextlib.suppress(AttributeError):
        model._symbolic_build(data_batch=batch)


def _step_without_training(model: Any, step: Any) -> Any:
    """Return a step like `step` that leaves the model as it is."""
    train, callbacks = model.train_function, callback_list(model)

    def pass_through(*arguments: Any) -> Any:
        model.train_function = train
        if BACKEND != "jax":
            return model.get_metrics_result()
        # During training on JAX, the values of variables are in the state that is passed around.
        state = arguments[0]
        values = zip(model.metrics_variables, state[-1], strict=True)
        with keras.StatelessScope(state_mapping=values):
            return model.get_metrics_result(), state

    def end(*arguments: Any, **settings: Any) -> None:
        del callbacks.on_train_batch_begin, callbacks.on_train_batch_end

    model.train_function = pass_through
    callbacks.on_train_batch_begin = lambda *arguments, **settings: None
    callbacks.on_train_batch_end = end
    is_drawn = isinstance(step[-1], list)
    return (*step[:-1], [None] if is_drawn else itertools.repeat(None))
