"""The order of the data of an unfinished epoch, and the position in them.

Up to version 3.15, Keras' `fit` shuffles arrays with the random numbers of NumPy on JAX, of PyTorch
on PyTorch, and on TensorFlow with an operation seed that follows from the global seed. If there is
no global seed, this package provides one for TensorFlow.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from ..keras_seam.array_data import ArrayData
from ..keras_seam.fit_control import epoch_iterator
from ..keras_seam.loader_data import LoaderData
from ..keras_seam.pipeline_data import PipelineData
from ..unshared import Unshared
from . import tensorflow_random
from .draws_ahead import DrawsAhead
from .encoding import NotSavableError, decode, encode
from .first_batches import FirstBatches
from .host_draws import HostDraws
from .random import capture_process, check_process, restore_process

_ON_ITERATOR = "_kerascheckpoint_order"


class DataOrder(Unshared):
    """What determines the order of an epoch's data: the record's "data".

    Args:
        arrays: The arrays that a `fit` trains on, if it trains on arrays.
        loader: The loader or pipeline that it trains on, if that has state.
        draws: The draws of the host's function that it trains on, if there is one.
        ahead: The draws of a generator ahead of training.
        first: The first batches of a generator.
    """

    name = "data"
    version = 2

    def __init__(
        self,
        arrays: ArrayData | None = None,
        loader: LoaderData | PipelineData | None = None,
        draws: HostDraws | None = None,
        ahead: DrawsAhead | None = None,
        first: FirstBatches | None = None,
    ) -> None:
        self._arrays, self._loader = arrays, loader
        self._draws, self._ahead, self._first = draws, ahead, first
        self._random: dict[str, Any] | None = None
        self._epoch: int | None = None

    @classmethod
    def of(cls, model: Any) -> "DataOrder":
        """Return the order of the data in the running `fit` of `model`, shared by its callbacks."""
        iterator = epoch_iterator(model)
        if iterator is None:
            return cls()
        attributes = vars(iterator)
        if _ON_ITERATOR not in attributes:
            draws = HostDraws.of(model), DrawsAhead.of(model), FirstBatches.of(model)
            loader = LoaderData.of(model) or PipelineData.of(model)
            attributes[_ON_ITERATOR] = cls(ArrayData.of(model), loader, *draws)
        found: DataOrder = attributes[_ON_ITERATOR]
        return found

    @property
    def spans_epochs(self) -> bool:
        """Whether the data of an epoch may depend on where the previous epoch ended."""
        found = [data for data in (self._arrays, self._loader) if data is not None]
        is_drawn = self._draws is not None or self._ahead is not None
        return is_drawn or any(data.spans_epochs for data in found)

    def prepare(self) -> None:
        """Make the order of future epochs depend only on state that can be saved."""
        if self._loader is not None:
            self._loader.watch()
        if self._arrays is not None and not tensorflow_random.has_global_seed():
            self._arrays.shuffle_by_seed()

    def begin_epoch(self, epoch: int) -> None:
        """Remember what determines the order of the epoch that begins now.

        Args:
            epoch: Its index.
        """
        if epoch == self._epoch:
            return
        self._epoch = epoch
        if self._arrays is None or self._arrays.begin_epoch():
            self._random = capture_process()

    def capture(self) -> dict[str, Any]:
        """Return what determines the order of the epoch, and the position in its data."""
        if self._arrays is not None:
            return self._capture_arrays(self._arrays)
        state: dict[str, Any] = {"epoch": self._random}
        if self._draws is not None:
            state["calls"] = self._draws.capture()
        if self._ahead is not None:
            state["ahead"] = self._ahead.capture()
        if self._first is not None:
            state["first"] = self._first.capture()
        found = None if self._loader is None else self._loader.state()
        if found is not None and self._loader is not None:
            with contextlib.suppress(NotSavableError):  # then its batches are drawn again
                iterator = {"kind": self._loader.kind, "state": encode(found)}
                state |= {"iterator": iterator, "drawn": self._loader.drawn}
        return state

    def _capture_arrays(self, arrays: ArrayData) -> dict[str, Any]:
        has_begun = arrays.drawn != 0
        return {
            "epoch": self._random if has_begun else None,
            "seed": arrays.seed,
            "drawn": arrays.drawn,
            "made_before": arrays.made_before if has_begun else True,
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if the random numbers or the position in the data are unusable."""
        if state["epoch"] is not None:
            check_process(state["epoch"])
        for name in ("seed", "drawn"):
            if not isinstance(state.get(name), int | None) or (state.get(name) or 0) < 0:
                raise ValueError(f"{name} is not a count")
        if state.get("calls") is not None:
            HostDraws.check(state["calls"])
        if state.get("ahead") is not None:
            DrawsAhead.check(state["ahead"])
        if state.get("first") is not None:
            FirstBatches.check(state["first"])
        if state.get("iterator") is not None:
            decode(state["iterator"]["state"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the random numbers from which the order of the epoch follows."""
        if state["epoch"] is not None:
            restore_process(state["epoch"])

    def begin_after(self, state: Mapping[str, Any], batch: int, epoch: int | None) -> bool:
        """Give the epoch that is about to begin the order that it had at the save.

        Args:
            state: What `capture` returned.
            batch: Number of its batches that are done.
            epoch: Its index.

        Returns:
            Whether its data are now past those batches; if not, they have to be skipped.
        """
        arrays, drawn = self._arrays, state.get("drawn")
        if arrays is None or (arrays.spans_epochs and drawn is None):
            self.restore(state)
            if self._loader is None or not self.has_place(state):
                return False
            iterator = decode(state["iterator"]["state"])
            self._loader.begin_after(iterator, int(state["drawn"]), state["drawn"] - batch)
            return True
        if state.get("seed") is not None:
            arrays.shuffle_by_seed(state["seed"])
        place = batch if drawn is None or not arrays.spans_epochs else max(drawn, batch)
        made_before = arrays.spans_epochs and bool(state.get("made_before"))
        before = place - batch
        arrays.begin_after(place, before, lambda: self.restore(state), made_before=made_before)
        if place:
            self._random, self._epoch = state["epoch"], epoch
        return True

    def rebuild(self, state: Mapping[str, Any] | None, batch: int) -> None:
        """Build the dataset of arrays again, with the restored seed.

        Args:
            state: What `capture` returned, if the file has it.
            batch: Number of done batches of the epoch that is about to begin.
        """
        if self._arrays is None:
            return
        by_seed = not tensorflow_random.has_global_seed() or (state or {}).get("seed") is not None
        is_whole = not batch and not self._arrays.spans_epochs
        self._arrays.rebuild(only_order=is_whole, by_seed=by_seed)

    def before_passing(self, state: Mapping[str, Any]) -> None:
        """Let batches that are drawn again, and the next one, find the numbers that they found."""
        if self._draws is not None and state.get("calls") is not None:
            self._draws.restore(state["calls"])
        if self._ahead is not None and state.get("ahead") is not None:
            self._ahead.hold(state["ahead"])
        if self._first is not None and state.get("first") is not None:
            self._first.restore(state["first"])

    def go_on(self) -> None:
        """Let data be drawn ahead again, as the random numbers are those of the file by now."""
        if self._draws is not None:
            self._draws.go_on()
        if self._ahead is not None:
            self._ahead.release()

    def process_at(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return random state as it is with no batch drawn that is not trained yet.

        Args:
            state: The random state as it is now.
        """
        return dict(state) | ({} if self._ahead is None else self._ahead.process())

    def has_place(self, state: Mapping[str, Any]) -> bool:
        """Tell whether a state has the position in the data, so that no epoch is drawn again."""
        if self._loader is not None and "iterator" in state:
            return bool(state["iterator"]["kind"] == self._loader.kind)
        return self._arrays is not None and state.get("drawn") is not None
