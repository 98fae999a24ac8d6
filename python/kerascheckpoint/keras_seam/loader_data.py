"""Loaders whose iterators have state: Grain datasets and torchdata's `StatefulDataLoader`.

Such an iterator continues where it was, and nothing is drawn again. TensorFlow draws from it ahead
of training, by an unknown number of batches, so there the batches are drawn again and skipped. Seen
in Keras 3.6 to 3.16, Grain 0.2, torchdata 0.11.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from .fit_control import epoch_iterator, trained_batches
from .private import BACKEND


class LoaderData:
    """The loader of a running `fit`.

    Args:
        iterator: Keras' epoch iterator.

    Attributes:
        spans_epochs: Whether an epoch continues from the state at the end of the previous one.
    """

    def __init__(self, iterator: Any) -> None:
        self._iterator, self._adapter = iterator, iterator.data_adapter
        self._loader: Any = getattr(self._adapter, "_dataloader", None)  # of PyTorch
        self._watched: _Watched | None = None
        self.spans_epochs = bool(iterator.steps_per_epoch) or self._loader is not None

    @classmethod
    def of(cls, model: Any) -> "LoaderData | None":
        """Return the loader of the running `fit` of `model`; `None` if it has other data."""
        iterator = epoch_iterator(model)
        if BACKEND not in ("jax", "torch") or not hasattr(iterator, "_enumerate_iterator"):
            return None
        kind = type(iterator.data_adapter).__name__
        if kind == "TorchDataLoaderAdapter":
            has_state = hasattr(iterator.data_adapter._dataloader, "state_dict")
            return cls(iterator) if has_state else None
        return cls(iterator) if kind == "GrainDatasetAdapter" else None

    @property
    def drawn(self) -> int:
        """Number of trained batches of the current iterator."""
        return trained_batches(self._iterator)

    def watch(self) -> "_Watched":
        """Keep references to future iterators, so that their states can be read."""
        if self._watched is not None:
            return self._watched
        adapter = self._adapter
        self._watched = watched = _Watched(self._loader)
        if BACKEND == "torch" and self._loader is None:
            watched.inner, adapter._dataset = adapter._dataset, watched
            return watched
        name = "get_jax_iterator" if BACKEND == "jax" else "get_torch_dataloader"
        get = getattr(adapter, name)

        def get_watched() -> Any:
            watched.inner = get()
            return watched

        setattr(adapter, name, get_watched)
        return watched

    @property
    def kind(self) -> str:
        """Whether the state is that of a "loader" or of an "iterator"."""
        return "iterator" if self._loader is None else "loader"

    def state(self) -> Any:
        """Return the state of the current iterator after the trained batches, `None` if unknown."""
        return None if self._watched is None else self._watched.state_after(self.drawn)

    def begin_after(self, state: Any, place: int, before: int) -> None:
        """Make the epoch that is about to begin use an iterator that continues from a state.

        Args:
            state: What `state` returned.
            place: Number of its batches that are done.
            before: How many of these belong to earlier epochs.
        """
        over_epochs = bool(self._iterator.steps_per_epoch)
        watched = self.watch()
        # `fit` creates an iterator at the end of an epoch, but uses it only in these cases.
        is_used = place or self._loader is None or (BACKEND == "torch" and over_epochs)
        if is_used:
            watched.pending = state, place
        else:
            self._loader.load_state_dict(state)
            iter(self._loader)
        if over_epochs:
            self._iterator._current_iterator = iter(self._iterator._get_iterator())
            self._iterator._steps_seen = before


class _Watched:
    """An iterable that remembers its newest iterator.

    Args:
        loader: The object that has the state; `None` if the iterator has it.

    Attributes:
        inner: The original iterable.
        pending: A state for the next iterator, and the number of batches done at that state.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._newest: _Iterator | None = None
        self._has_unused_state = False
        self.inner: Iterable[Any] = ()
        self.pending: tuple[Any, int] | None = None

    def __iter__(self) -> Iterator[Any]:
        (state, place), self.pending = self.pending or (None, 0), None
        self._end_unused()
        if state is not None and self._loader is not None:
            self._loader.load_state_dict(state)
            self._has_unused_state = BACKEND == "jax"
        batches: Any = iter(self.inner)
        if state is not None and self._loader is None:
            batches.set_state(state)
        self._newest = _Iterator(batches, self._loader, place)
        return self._newest

    def _end_unused(self) -> None:
        """Have the loader use up a state after which no batch of its epoch was left to ask for.

        JAX' iterator starts the loader only when it is asked for a batch.
        """
        if self._has_unused_state and self._newest is not None and not self._newest.was_asked:
            iter(self._loader)
        self._has_unused_state = False

    def state_after(self, count: int) -> Any:
        """Return the state of the newest iterator after `count` batches, or `None` if unknown."""
        return None if self._newest is None else self._newest.state_after(count)


class _Iterator:
    """An iterator that counts its batches, and has the states before and after the last one.

    Asked for a batch when there is none left, a loader forgets its place.

    Attributes:
        was_asked: Whether it was asked for a batch.
    """

    def __init__(self, batches: Any, loader: Any, count: int) -> None:
        self._batches, self._count = batches, count
        self._get_state = batches.get_state if loader is None else loader.state_dict
        self._before: tuple[int, Any] | None = None
        self.was_asked = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.was_asked = True
        if BACKEND == "jax":  # it may draw a batch ahead of training
            self._before = self._count, self._get_state()
        batch = next(self._batches)
        self._count += 1
        return batch

    def state_after(self, count: int) -> Any:
        if self._before is not None and self._before[0] == count:
            return self._before[1]
        return self._get_state() if count == self._count else None
