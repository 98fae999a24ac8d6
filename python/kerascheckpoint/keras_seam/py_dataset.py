"""Make a `PyDataset` in a running `fit` start at a later batch without computing earlier ones.

Seen in Keras 3.3 to 3.16. In other versions, the caller draws the earlier batches instead.
"""

import contextlib
import itertools
import queue
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

_TIMEOUT = 60.0  # seconds to wait for the workers to start


def count_epochs(adapter: Any, epochs: int) -> None:
    """Call a `PyDataset`'s epoch hooks once for each completed epoch.

    Args:
        adapter: Keras' adapter for the dataset.
        epochs: Number of epochs that are done.
    """
    for _ in range(epochs):
        getattr(adapter.py_dataset, "on_epoch_begin", _nothing)()  # not in every Keras
        adapter.py_dataset.on_epoch_end()


def drop_early_batches(adapter: Any) -> None:
    """Drop the batches that workers have computed before the first epoch begins.

    On JAX and PyTorch, `fit` draws one batch to build the model. Without this, the batches that the
    workers have computed by then would be trained in place of the epochs' own batches.

    Args:
        adapter: Keras' adapter for the data of a `fit`, of any kind.
    """
    ready = getattr(getattr(adapter, "enqueuer", None), "ready_queue", None)
    if ready is None or adapter.py_dataset.num_batches is None:
        return
    with contextlib.suppress(queue.Empty):
        while True:
            ready.get_nowait()


def holds_batches(adapter: Any) -> bool:
    """Tell whether workers have already computed batches with which the next epoch begins.

    Only drawing all of it again reproduces the order.
    """
    return not getattr(getattr(adapter.enqueuer, "ready_queue", None), "empty", lambda: True)()


def start_at_index(iterator: Any, count: int) -> Callable[[], object] | None:
    """Make the next epoch of a `PyDataset` start after `count` batches.

    Args:
        iterator: Keras' epoch iterator.
        count: Number of batches to skip.

    Returns:
        A function that waits until the epoch has begun and its order is fixed; `None` if the data
        are not a `PyDataset` or cannot start there.
    """
    adapter = iterator.data_adapter
    dataset = getattr(adapter, "py_dataset", None)
    if dataset is None or dataset.num_batches is None or iterator.steps_per_epoch:
        return None
    if not hasattr(adapter, "_finite_generator") or holds_batches(adapter):
        return None
    if adapter.enqueuer is None:
        if count < dataset.num_batches:
            _start_generator_at(adapter, count)
        return _nothing
    if "indices" not in type(adapter.enqueuer)._run.__code__.co_names:
        return None
    return _start_workers_at(adapter, count)


def _start_generator_at(adapter: Any, count: int) -> None:
    """Make the next generator skip the first indices, in the order that Keras chooses."""
    indices = list(range(adapter.py_dataset.num_batches))
    if adapter.shuffle:
        epoch = getattr(adapter, "_epoch", None)  # Keras 3.16 and later shuffle by it
        (random if epoch is None else random.Random(epoch)).shuffle(indices)

    def rest() -> Iterator[Any]:
        vars(adapter).pop("_finite_generator", None)
        for index in indices[count:]:
            yield adapter._standardize_batch(adapter.py_dataset[index])

    adapter._finite_generator = rest


def _start_workers_at(adapter: Any, count: int) -> Callable[[], object]:
    """Make the workers skip the first indices of the next epoch."""
    enqueuer, has_begun = adapter.enqueuer, threading.Event()
    own_class = type(enqueuer)

    def take(self: Any, indices: Iterator[int]) -> None:
        self.__class__ = own_class
        self.indices = itertools.islice(indices, count, None)
        has_begun.set()

    def rest() -> Iterator[Any]:
        vars(adapter).pop("_finite_enqueuer_generator", None)
        enqueuer.start(*([adapter._epoch] if hasattr(adapter, "_epoch") else []))
        left = adapter.py_dataset.num_batches - count
        for batch in itertools.islice(enqueuer.get(), left):
            yield adapter._standardize_batch(batch)
        enqueuer.stop()

    if count < adapter.py_dataset.num_batches:
        adapter._finite_enqueuer_generator = rest
    enqueuer.__class__ = type(own_class.__name__, (own_class,), {"indices": property(None, take)})
    return lambda: has_begun.wait(_TIMEOUT)


def _nothing() -> None:
    """Do nothing."""
