"""Bring the data of a running `fit` to the batch that a resumed run continues with.

`fit` builds its data before it tells any callback of anything, and the script of a resumed run
makes them anew. The local variable `epoch_iterator` of `fit` is the way to them. Seen in Keras 3.3
to 3.16.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras

from .fit_control import callback_list, epoch_iterator
from .private import BACKEND
from .py_dataset import count_epochs, holds_batches, start_at_index

Show = Callable[[str], object]  # takes a line about the progress

_SILENT = 3.0  # seconds before progress is shown, and between two lines of it


def pass_over_epochs(
    model: Any, epochs: int, epoch_steps: int | None, show: Show, *, has_place: bool = False
) -> None:
    """Let the data of the running `fit` of `model` be as after so many epochs.

    With `steps_per_epoch` one iterator serves all epochs, so their batches are drawn again. So are
    those of a Python generator, which cannot begin anew, and of a loader that counts its epochs
    itself (torchdata's `StatefulDataLoader`). Otherwise each epoch begins an iterator. Then arrays
    and PyTorch's other loaders need nothing, a `PyDataset` is told of the epochs, and a `tf.data`
    pipeline counts its iterators, as their number decides how it shuffles.

    Args:
        model: The model in training.
        epochs: Number of epochs that are done.
        epoch_steps: Batches of each, if known.
        show: Shows the progress of what takes seconds.
        has_place: Whether the data are brought to their place by `ArrayData` or `LoaderData`.
    """
    iterator = epoch_iterator(model)
    if iterator is None:
        return
    adapter = iterator.data_adapter
    _rebuild_dataset(iterator, adapter)
    kind = type(adapter).__name__
    is_dataset = kind == "PyDatasetAdapter"
    if has_place:
        return
    if (
        iterator.steps_per_epoch
        or kind == "GeneratorDataAdapter"
        or hasattr(getattr(adapter, "_dataloader", None), "state_dict")
        or (is_dataset and holds_batches(adapter))
    ):
        total = epochs * (iterator.steps_per_epoch or epoch_steps or 0)
        progress = _Progress("the data of the epochs that are done", total, show)
        for _ in range(epochs):
            _draw_epoch(iterator, progress)
        return
    if hasattr(adapter, "_epoch"):
        adapter._epoch += epochs  # Keras 3.16 and later shuffle by it
    if is_dataset:
        count_epochs(adapter, epochs)
    elif kind == "TFDatasetAdapter":
        _begin_pipelines(iterator, adapter, epochs, epoch_steps)


def begin_after(
    model: Any,
    count: int,
    show: Show,
    on_first: Callable[[], None],
    on_last: Callable[[], None],
    *,
    is_past: bool = False,
) -> None:
    """Let the epoch that begins in the running `fit` of `model` go on after `count` batches.

    They are drawn and passed over, or not even drawn where the data can start later. In their place
    `fit` sees one step that trains nothing and that no callback hears of: without any step it would
    have no logs at the end of an epoch whose batches are all done.

    Args:
        model: The model in training.
        count: Number of batches that are done, 1 or more.
        show: Shows the progress of what takes seconds.
        on_first: Called once the model's metrics are built.
        on_last: Called once the data are where they were.
        is_past: Whether the data are past those batches already.

    Raises:
        RuntimeError: If the data of this `fit` are out of reach.
    """
    iterator = epoch_iterator(model)
    if iterator is None:
        raise RuntimeError(
            "the fit() of this model keeps its data where kerascheckpoint cannot reach them, so it "
            "cannot go on in the middle of an epoch; resume from a checkpoint of an epoch's end"
        )
    name = "_enumerate_iterator" if hasattr(iterator, "_enumerate_iterator") else "enumerate_epoch"
    whole_epoch = getattr(iterator, name)

    def rest_of_epoch() -> Iterator[Any]:
        vars(iterator).pop(name)
        wait_for_start = (lambda: None) if is_past else start_at_index(iterator, count)
        steps, step = whole_epoch(), None
        progress = _Progress("the batches that are done", count, show)
        with contextlib.suppress(StopIteration):  # the data may have become fewer
            for done in range(0, count, iterator.steps_per_execution):
                step = next(steps)
                first = None if wait_for_start else _draw(iterator, step, count - done)
                if not done:
                    _build_metrics(iterator, model, first)
                    on_first()
                progress.add(iterator.steps_per_execution)
        if wait_for_start:
            wait_for_start()
        on_last()
        yield _step_without_training(model, step)
        yield from steps

    setattr(iterator, name, rest_of_epoch)


class _Progress:
    """Shows how far something is, once it has taken some seconds."""

    def __init__(self, what: str, total: int, show: Show) -> None:
        self._what, self._total, self._show = what, total, show
        self._done, self._last_shown = 0, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._last_shown > _SILENT:
            self._last_shown = time.monotonic()
            self._show(f"drawing {self._what} again: batch {self._done} of {self._total}")


def _rebuild_dataset(iterator: Any, adapter: Any) -> None:
    """Make the dataset that TensorFlow shuffles arrays by anew, under the seed set by now."""
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
            if not isinstance(batches, list):  # an iterator: `fit` leaves that to the train step
                for _ in range(iterator.steps_per_execution):
                    next(batches)
            progress.add(iterator.steps_per_execution)


def _draw(iterator: Any, step: Any, left: int) -> Any:
    """Draw the batches of one step, at most so many; return the first of them."""
    batches = step[-1]
    if isinstance(batches, list):
        return batches[0]
    drawn = [next(batches) for _ in range(min(iterator.steps_per_execution, left))]
    return drawn[0]


def _begin_pipelines(iterator: Any, adapter: Any, epochs: int, epoch_steps: int | None) -> None:
    """Begin as many iterators of a `tf.data` pipeline as these epochs do."""
    if BACKEND != "tensorflow":
        for _ in range(epochs):
            iter(adapter.get_tf_dataset())
        return
    for epoch in range(epochs):
        if iterator.num_batches:
            for _step in iterator if hasattr(iterator, "_enumerate_iterator") else ():
                pass  # it gives iterators, and draws nothing from them
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
        # While JAX trains, the variables' values are in the state that is passed around.
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
