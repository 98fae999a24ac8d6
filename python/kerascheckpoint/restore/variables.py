"""Load the arrays of a file into the variables of a model."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..backends.arrays import (
    ensure_copy,
    from_parts,
    hold_in_place,
    is_sharded,
    layout_of,
    numpy_views,
)
from ..formats.forms import open_checkpoint
from ..keras_seam import objects
from ..keras_seam.store import StoreEntry
from ..model_state import ArraySpec
from ..snapshot.capture import Snapshotter
from .comparison import StoredState


class ModelVariables:
    """All variables of a model, loaded through each object's own `load_own_variables`.

    Arrays on several devices are read part by part and replaced one at a time, so at most one of
    them is in memory twice. The old values of their objects are not kept. Objects with their own
    loading code, which may fail, are loaded first, and their old values are kept.
    """

    def __init__(self, model: Any, stored: StoredState) -> None:
        self._model, self._stored = model, stored
        self._snapshotter = Snapshotter()
        captured = self._snapshotter.capture(model, weights_only=True, hold=hold_in_place)
        arrays = captured.arrays
        self._fitting = stored.fitting(captured.specs)
        sharded = {name for name, value in arrays.items() if is_sharded(value)}
        self._layouts = {  # by name in the file
            stored_array.name: layout_of(arrays[name])
            for name, stored_array in self._fitting.items()
            if name in sharded
        }
        self._places = sorted(
            self._snapshotter.places(model), key=lambda place: objects.loads_in_keras_way(place[0])
        )
        self._before: dict[str, Any] = {}
        self._not_kept: set[str] = set()
        self._lost: list[str] = []
        for target, variables, own in _by_object(self._places, arrays):
            named = {f"{variables}/{key}": value for key, value in own.items()}
            if objects.loads_in_keras_way(target) and not named.keys().isdisjoint(sharded):
                self._not_kept.add(variables)
            else:
                self._before |= named
        self._before |= numpy_views(
            {name: value for name, value in self._before.items() if not is_sharded(value)}
        )

    @property
    def keeps_all(self) -> bool:
        """Whether all old values can be put back until the end."""
        return not self._not_kept

    def load(self) -> None:
        """Load the variables from the file."""
        self._before = {
            name: value if is_sharded(value) else ensure_copy(value)
            for name, value in self._before.items()
        }
        stored, places, arrays = self._stored, self._places, self._fitting
        if stored.optimizer_is_unstepped:
            stored.load_optimizer()
            places = [place for place in places if place[0] is not stored.optimizer]
            arrays = {name: a for name, a in arrays.items() if not name.startswith(stored.place)}
        for target, variables, own in _by_object(places, arrays):
            if variables in self._not_kept:
                self._lost.append(variables)
            if objects.loads_in_keras_way(target):
                target.load_own_variables(_ReadWhenAsked(own, self._read))
            else:
                target.load_own_variables(
                    StoreEntry({key: self._read(array) for key, array in own.items()})
                )

    def _read(self, array: ArraySpec) -> Any:
        """Read an array from the file; if it lies on several devices, only this process's parts."""
        layout = self._layouts.get(array.name)
        if layout is None:
            return self._stored.read(array)
        read = self._stored.checkpoint.part_reader(array)
        return from_parts(layout, lambda index: read(index).astype(layout.dtype, copy=False))

    def roll_back(self) -> list[str]:
        """Restore the earlier variables of each object separately; any may fail again."""
        refusing = {}
        kept = [place for place in self._places if place[1] not in self._not_kept]
        for target, variables, own in _by_object(kept, self._before):
            try:
                target.load_own_variables(StoreEntry(own))
            except Exception:
                refusing[variables] = own
        lost = [repr(variables) for variables in self._lost]
        if not refusing:
            return lost
        now = self._snapshotter.capture(self._model, weights_only=True, hold=hold_in_place).arrays
        return lost + [
            repr(variables)
            for variables, own in refusing.items()
            if any(not _is_same(now[f"{variables}/{key}"], own[key]) for key in own)
        ]


class _ReadWhenAsked(StoreEntry):
    """A store that reads an array when it is asked for, and keeps none."""

    def __init__(self, arrays: Mapping[str, ArraySpec], read: Callable[[ArraySpec], Any]) -> None:
        super().__init__(arrays)
        self._read = read

    def __getitem__(self, key: str) -> Any:
        return self._read(super().__getitem__(key))


def _is_same(now: Any, before: Any) -> bool:
    if is_sharded(before):
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
        with warnings.catch_warnings():  # missing optimizer state has been checked already
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            self._model.load_weights(self._stored.checkpoint.local_copy(self._directory))
        if self._stored.optimizer_is_unstepped or self._stored.is_renumbered:
            self._stored.load_optimizer()  # Keras has skipped it

    def roll_back(self) -> list[str]:
        """Restore the earlier variables."""
        try:
            self._model.load_weights(self._before)
        except Exception:
            return ["its variables"]
        return []
