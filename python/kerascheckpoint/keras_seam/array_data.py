"""Make an epoch over arrays in a running `fit` begin at any of its batches.

Seen in Keras 3.6 to 3.16. In older versions, the batches of arrays are drawn and skipped.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import keras

from .fit_control import epoch_iterator, trained_batches
from .private import BACKEND
from .tensorflow_arrays import ArrayDataset

_SEED_BITS = 31


class ArrayData:
    """The arrays of a running `fit`.

    Each epoch is one iteration over them. With `steps_per_epoch`, an iteration serves several
    epochs, until all batches are drawn.

    Args:
        iterator: Keras' epoch iterator.

    Attributes:
        spans_epochs: Whether an iteration may serve several epochs.
        seed: The seed of the current iteration if this class shuffles, else `None`.
        made_before: Whether the iteration was created before its epoch began.
    """

    def __init__(self, iterator: Any) -> None:
        self._iterator, self._adapter = iterator, iterator.data_adapter
        self._dataset: ArrayDataset | None = None  # the one of this package
        self._is_seeded = False  # whether that shuffles by `seed`
        self.spans_epochs = bool(iterator.steps_per_epoch)
        self.seed: int | None = None
        self.made_before = False

    @classmethod
    def of(cls, model: Any) -> "ArrayData | None":
        """Return the arrays of the running `fit` of `model`; `None` if it has other data.

        The result is also `None` for arrays with `steps_per_epoch` in Keras 3.16 and later on JAX
        and PyTorch. They are shuffled by the epoch index, so drawing them again reproduces the
        order.
        """
        iterator = epoch_iterator(model)
        if iterator is None or type(iterator.data_adapter).__name__ != "ArrayDataAdapter":
            return None
        if not hasattr(iterator, "_enumerate_iterator"):
            return None
        is_counted = hasattr(iterator.data_adapter, "_epoch") and BACKEND != "tensorflow"
        return None if is_counted and iterator.steps_per_epoch else cls(iterator)

    @property
    def drawn(self) -> int | None:
        """Batches drawn by the current iteration in all its epochs; `None` if it has only one."""
        return trained_batches(self._iterator) if self.spans_epochs else None

    def begin_epoch(self) -> bool:
        """Note that an epoch begins; return whether a new iteration begins with it."""
        iterator = self._iterator
        is_there = self.spans_epochs and iterator._current_iterator is not None
        if is_there and iterator._steps_seen:
            return False
        self.made_before = is_there and BACKEND == "torch"
        if self._is_seeded:
            self._set_seed(secrets.randbits(_SEED_BITS))
            iterator._current_iterator = None
        return True

    def begin_after(
        self, place: int, before: int, restore_order: Callable[[], object], *, made_before: bool
    ) -> None:
        """Make the epoch that is about to begin use an iteration whose first batches are done.

        Args:
            place: Number of its batches that are done.
            before: How many of these belong to earlier epochs.
            restore_order: Restores the random numbers that determine the order of the iteration.
            made_before: The attribute of that name at the save.
        """
        iterator = self._iterator
        if not made_before:
            restore_order()
        batches = self._begin_at(place, restore_order if made_before else lambda: None)
        self.made_before = made_before
        if self.spans_epochs:
            iterator._current_iterator, iterator._steps_seen = batches, before
            return

        def get_iterator() -> Any:
            del iterator._get_iterator
            return batches

        iterator._get_iterator = get_iterator

    def _begin_at(self, place: int, restore_order: Callable[[], object]) -> Any:
        """Return an iterator over all batches from `place` on."""
        iterator = self._iterator
        if not self.spans_epochs and place >= self._adapter.num_batches:
            return iter(())  # `fit` draws nothing from it
        if self._dataset is not None and self._dataset.can_start_anywhere:
            self._dataset.start_at(place)
            return iter(iterator._distributed_dataset)
        if BACKEND == "tensorflow" and hasattr(iterator._distributed_dataset, "skip"):
            return iter(iterator._distributed_dataset.skip(place))
        # With shuffle="batch", each batch draws random numbers when it is created.
        if BACKEND == "jax" and self._adapter._shuffle != "batch" and not _is_distributed():
            self._leave_out(place)
            return iter(iterator._get_iterator())
        batches = iter(iterator._get_iterator())
        restore_order()
        _draw(getattr(batches, "_next_index", batches.__next__), place)  # indices, of PyTorch's
        return batches

    def _leave_out(self, count: int) -> None:
        """Make the next iteration skip its first batches when it is created."""
        adapter = self._adapter

        def get_iterator(convert: Callable[..., Any], inputs: Any) -> Iterator[Any]:
            del adapter._get_iterator
            is_passing = True

            def convert_if_needed(*arguments: Any, **settings: Any) -> Any:
                return None if is_passing else convert(*arguments, **settings)

            batches: Iterator[Any] = adapter._get_iterator(convert_if_needed, inputs)
            _draw(batches.__next__, count)
            is_passing = False
            return batches

        adapter._get_iterator = get_iterator

    def rebuild(self, *, only_order: bool, by_seed: bool) -> None:
        """Build TensorFlow's dataset again, with the current global seed.

        Args:
            only_order: Whether nothing but the order matters, as the next epoch is whole.
            by_seed: Whether to shuffle each iteration with a seed that can be saved.
        """
        iterator, adapter = self._iterator, self._adapter
        if BACKEND != "tensorflow" or (only_order and not adapter._shuffle):
            return
        if self._can_be_replaced:
            self._build(by_seed=by_seed)
        else:
            strategy, dataset = iterator._distribute_strategy, adapter.get_tf_dataset()
            iterator._distributed_dataset = strategy.experimental_distribute_dataset(dataset)

    def _build(self, *, by_seed: bool) -> None:
        self._is_seeded = by_seed and bool(self._adapter._shuffle) and not self._is_counted
        with self._as_in_first_epoch():
            self._dataset = ArrayDataset(self._adapter, by_seed=self._is_seeded)
        self._iterator._distributed_dataset = self._dataset.dataset

    @property
    def _is_counted(self) -> bool:
        """Whether Keras shuffles by the number of the epoch, as 3.16 and later do."""
        return hasattr(self._adapter, "_epoch")

    @contextlib.contextmanager
    def _as_in_first_epoch(self) -> Iterator[None]:
        """Let the adapter build what `fit` built; the number of the epoch becomes a constant."""
        if not self._is_counted:
            yield
            return
        epoch, self._adapter._epoch = self._adapter._epoch, 0
        try:
            yield
        finally:
            self._adapter._epoch = epoch

    @property
    def _can_be_replaced(self) -> bool:
        """Whether the dataset is not spread over devices."""
        import tensorflow as tf

        return isinstance(self._iterator._distributed_dataset, tf.data.Dataset)

    def shuffle_by_seed(self, seed: int | None = None) -> None:
        """Make TensorFlow shuffle each iteration with a seed that can be saved.

        Without a global seed, it would shuffle with random numbers that cannot be read.

        Args:
            seed: The seed of the iteration that is about to begin; `None` for a new one.
        """
        if BACKEND != "tensorflow" or not self._can_be_replaced:
            return
        if not self._is_seeded and self._adapter._shuffle and not self._is_counted:
            self._build(by_seed=True)
        if self._is_seeded:
            self._set_seed(secrets.randbits(_SEED_BITS) if seed is None else seed)

    def _set_seed(self, seed: int) -> None:
        self.seed = seed
        if self._dataset is not None:
            self._dataset.set_seed(seed)


def _draw(draw: Callable[[], object], count: int) -> None:
    with contextlib.suppress(StopIteration):  # the data may have become fewer
        for _ in range(count):
            draw()


def _is_distributed() -> bool:
    return keras.distribution.distribution() is not None
