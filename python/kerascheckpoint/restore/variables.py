"""Load the arrays of a file into the variables of a model."""

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ..backends.arrays import ensure_copy, from_parts, is_spread, numpy_views
from ..formats.forms import open_checkpoint
from ..keras_seam.store import StoreEntry
from ..model_state import ArraySpec
from ..snapshot.capture import Snapshotter
from .comparison import StoredState


class ModelVariables:
    """All variables of a model, loaded through each object's own `load_own_variables`."""

    def __init__(self, model: Any, stored: StoredState) -> None:
        self._model, self._stored = model, stored
        self._snapshotter = Snapshotter()
        before = self._snapshotter.capture(model, weights_only=True)
        self._spread = {name: value for name, value in before.arrays.items() if is_spread(value)}
        rest = {name: v for name, v in before.arrays.items() if name not in self._spread}
        self._before = numpy_views(rest) | self._spread
        self._places = self._snapshotter.places(model)
        self._fitting = stored.fitting(before.specs)

    def load(self) -> None:
        """Load the variables from the file."""
        self._before = {
            name: array if name in self._spread else ensure_copy(array)
            for name, array in self._before.items()
        }
        stored, places, arrays = self._stored, self._places, self._fitting
        if stored.optimizer_is_unstepped:
            stored.load_new_optimizer()
            places = [place for place in places if place[0] is not stored.optimizer]
            arrays = {name: a for name, a in arrays.items() if not name.startswith(stored.place)}
        for target, _, own in _by_object(places, arrays):
            target.load_own_variables(
                StoreEntry({key: self._read(array) for key, array in own.items()})
            )

    def _read(self, array: ArraySpec) -> Any:
        """Read an array from the file; of a spread one, only this process's parts."""
        like = self._spread.get(array.name)
        if like is None:
            return self._stored.read(array)
        checkpoint = self._stored.checkpoint
        return from_parts(
            like, lambda index: checkpoint.read_part(array, index).astype(like.dtype, copy=False)
        )

    def roll_back(self) -> list[str]:
        """Restore the earlier variables of each object separately; any may fail again."""
        refusing = {}
        for target, variables, own in _by_object(self._places, self._before):
            try:
                target.load_own_variables(StoreEntry(own))
            except Exception:
                refusing[variables] = own
        if not refusing:
            return []
        now = self._snapshotter.capture(self._model, weights_only=True).arrays
        return [
            repr(variables)
            for variables, own in refusing.items()
            if any(not _is_same(now[f"{variables}/{key}"], own[key]) for key in own)
        ]


def _is_same(now: Any, before: Any) -> bool:
    if is_spread(before):
        return now is before
    both = numpy_views({"now": now, "before": before})
    return both["now"].tobytes() == both["before"].tobytes()


def _by_object(
    places: list[tuple[Any, str]], arrays: Mapping[str, Any]
) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    """Yield each object, its path, and its own arrays by its own keys."""
    below: dict[str, dict[str, Any]] = {variables: {} for _, variables in places}
    for name, array in arrays.items():
        variables = name
        while variables not in below:  # an object's own key may contain slashes too
            variables = variables.rpartition("/")[0]
        below[variables][name[len(variables) + 1 :]] = array
    for target, variables in places:
        yield target, variables, below[variables]


class KerasLoader:
    """All variables of a model, loaded by Keras itself, for objects that only Keras can load."""

    def __init__(self, model: Any, stored: StoredState, directory: str) -> None:
        self._model, self._stored, self._directory = model, stored, directory
        self._before = os.path.join(directory, "before.weights.h5")
        model.save_weights(self._before)
        with open_checkpoint(self._before) as before:
            stored.fitting(before.arrays().values())

    def load(self) -> None:
        """Load the variables from the file."""
        if self._stored.optimizer_is_unstepped:
            self._stored.load_new_optimizer()
        with warnings.catch_warnings():  # missing optimizer state has been checked already
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            self._model.load_weights(self._stored.checkpoint.local_copy(self._directory))

    def roll_back(self) -> list[str]:
        """Restore the earlier variables."""
        try:
            self._model.load_weights(self._before)
        except Exception:
            return ["its variables"]
        return []
