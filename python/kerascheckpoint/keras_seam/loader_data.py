"""Loaders whose iterators have a state: Grain's data, torchdata's `StatefulDataLoader`.

Such an iterator goes on where it was, and nothing is drawn again. TensorFlow draws from them ahead
of training, by a number of batches that nobody can ask for, so there their batches are passed over.
Seen in Keras 3.6 to 3.16, Grain 0.2, torchdata 0.11.
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .fit_control import epoch_iterator
from .private import BACKEND


class LoaderData:
    """The loader of a running `fit`.

    Args:
        iterator: Keras' epoch iterator.

    Attributes:
        spans_epochs: Whether an epoch goes on from the state that the one before it left.
    """

    def __init__(self, iterator: Any) -> None:
        self._iterator, self._adapter = iterator, iterator.data_adapter
        self._loader: Any = getattr(self._adapter, "_dataloader", None)  # of PyTorch
        self._watched: _Watched | None = None
        self.spans_epochs = bool(iterator.steps_per_epoch) or self._loader is not None

    @classmethod
    def of(cls, model: Any) -> "LoaderData | None":
        """Return the loader of the running `fit` of `model`; `None` if its data are no such one."""
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
        """Batches of the running iterator that were trained."""
        return int(self._iterator._steps_seen)

    def watch(self) -> "_Watched":
        """Keep hold of the iterators to come, so that their states can be asked for."""
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

    def state(self) -> dict[str, Any] | None:
        """Return the state of the running iterator after the trained batches, if it is known.

        Returns:
            Its bytes as an array, and what they are: "json", "bytes" or "torch".
        """
        found = None if self._watched is None else self._watched.state_after(self.drawn)
        if found is None:
            return None
        if self._loader is not None:
            buffer = io.BytesIO()
            sys.modules["torch"].save(found, buffer)
            return {"kind": "torch", "bytes": np.frombuffer(buffer.getvalue(), np.uint8)}
        if isinstance(found, bytes):
            return {"kind": "bytes", "bytes": np.frombuffer(found, np.uint8)}
        with contextlib.suppress(TypeError, ValueError):
            text = json.dumps(found)
            if json.loads(text) == found:
                return {"kind": "json", "bytes": np.frombuffer(text.encode(), np.uint8)}
        return None

    def begin_after(self, state: dict[str, Any], place: int, before: int) -> None:
        """Let the epoch that is about to begin use an iterator that goes on from a state.

        Args:
            state: What `state` returned.
            place: Number of its batches that are done.
            before: Those of them that belong to earlier epochs.
        """
        over_epochs = bool(self._iterator.steps_per_epoch)
        watched, found = self.watch(), _decoded(**state)
        # When an epoch has ended, `fit` makes an iterator that it uses in this case alone.
        is_used = place or self._loader is None or (BACKEND == "torch" and over_epochs)
        if is_used:
            watched.pending = found, place
        else:
            self._loader.load_state_dict(found)
            iter(self._loader)
        if over_epochs:
            self._iterator._current_iterator = iter(self._iterator._get_iterator())
            self._iterator._steps_seen = before

    def can_read(self, state: dict[str, Any]) -> bool:
        """Tell whether a state is one that this loader's iterators go on from."""
        if (state["kind"] == "torch") != (self._loader is not None):
            return False
        try:
            _decoded(**state)
        except Exception:  # of whatever kind: torch.load() refuses objects of the user's
            return False
        return True


def _decoded(kind: str, bytes: "np.ndarray[Any, Any]") -> Any:
    content = bytes.tobytes()
    if kind == "torch":
        return sys.modules["torch"].load(io.BytesIO(content), weights_only=True)
    return json.loads(content) if kind == "json" else content


class _Watched:
    """Something to iterate over that remembers its newest iterator.

    Args:
        loader: What has the state; `None` if the iterator has it.

    Attributes:
        inner: What is iterated over.
        pending: A state for the next iterator and how many batches are done by it.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._newest: _Iterator | None = None
        self.inner: Iterable[Any] = ()
        self.pending: tuple[Any, int] | None = None

    def __iter__(self) -> Iterator[Any]:
        (state, place), self.pending = self.pending or (None, 0), None
        if state is not None and self._loader is not None:
            self._loader.load_state_dict(state)
        batches: Any = iter(self.inner)
        if state is not None and self._loader is None:
            batches.set_state(state)
        self._newest = _Iterator(batches, self._loader, place)
        return self._newest

    def state_after(self, count: int) -> Any:
        """Return the state of the newest iterator after so many batches, `None` if not known."""
        return None if self._newest is None else self._newest.state_after(count)


class _Iterator:
    """An iterator that counts its batches, and knows the states before and after the newest."""

    def __init__(self, batches: Any, loader: Any, count: int) -> None:
        self._batches, self._count = batches, count
        self._get_state = batches.get_state if loader is None else loader.state_dict
        self._before: Any = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if BACKEND == "jax":  # it may draw a batch ahead of training
            self._before = self._get_state()
        batch = next(self._batches)
        self._count += 1
        return batch

    def state_after(self, count: int) -> Any:
        if count == self._count:
            return self._get_state()
        return self._before if count == self._count - 1 else None
