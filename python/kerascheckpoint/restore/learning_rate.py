"""Restore an optimizer if only one of file and model has a schedule of the learning rate.

Keras has a variable for the learning rate unless it follows a schedule, so the numbers of all later
variables differ by one. A schedule belongs to the script and is no state. So the model keeps its
own rate or schedule, and everything else comes from the file.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from ..formats.base import OpenCheckpoint
from ..keras_seam.learning_rate import has_rate, place_of_rate, schedule_of, stepping
from ..keras_seam.objects import is_stock_optimizer
from ..model_state import ArraySpec
from ..printable import printable
from ..snapshot import model_objects

_OWN = "learning_rate"  # in place of a number, which a file could have as well


@dataclasses.dataclass(frozen=True)
class OtherRate:
    """A learning rate in place of a schedule, or the other way round.

    Attributes:
        before: The rate or schedule that the file was saved with.
        now: The model's.
        compile_with: What to compile the model with to get the earlier one.
    """

    before: str
    now: str
    compile_with: str

    def __str__(self) -> str:
        return f"the learning rate was {self.before} and is {self.now} here (this script's is used)"

    @property
    def advice(self) -> str:
        """How to continue with the earlier one."""
        return f"To continue with the earlier one, compile the model with {self.compile_with}"


@dataclasses.dataclass(frozen=True)
class MatchedArrays:
    """The arrays of a file by the names that they have in the model.

    Attributes:
        arrays: The arrays by name.
        own: Values that the model keeps, by the names of their specs in `arrays`.
        difference: How the learning rates differ, if only one of them follows a schedule.
    """

    arrays: dict[str, ArraySpec]
    own: dict[str, "np.ndarray[Any, Any]"] = dataclasses.field(default_factory=dict)
    difference: OtherRate | None = None


def match_rate(
    arrays: dict[str, ArraySpec], checkpoint: OpenCheckpoint, model: Any
) -> MatchedArrays:
    """Match the arrays of a file to those of a model whose optimizer is built.

    Args:
        arrays: The arrays of the file.
        checkpoint: The open checkpoint.
        model: The model.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    places = _places_of_rate(model)
    if not places:
        return MatchedArrays(arrays)
    prefix, place = next(iter(places.items()))
    stored, settings = arrays.get(f"{prefix}{place}"), _settings(checkpoint)
    is_there = _is_rate(stored, settings, optimizer.variables[place + has_rate(optimizer) :])
    if is_there in (None, has_rate(optimizer)) or f"{prefix}{place - 1}" not in arrays:
        return MatchedArrays(arrays)
    if is_there:
        rate = _in_words(stored, checkpoint, settings)
        now = f"the schedule {schedule_of(optimizer)}"
        return MatchedArrays(
            _without_rate(arrays, places),
            difference=OtherRate(rate, now, f"learning_rate={rate}"),
        )
    value = np.asarray(to_numpy(stepping(optimizer)._learning_rate))
    schedule = printable(str(settings.get("schedule", "of the earlier script")))
    return MatchedArrays(
        _with_rate(arrays, places, value),
        {f"{prefix}{_OWN}": value for prefix in places},
        OtherRate(f"the schedule {schedule}", f"{float(value):.7g}", "that schedule"),
    )


def _places_of_rate(model: Any) -> dict[str, int]:
    """Return the index of the learning rate by the prefix of an optimizer's arrays in a file.

    An optimizer that wraps another has its variables as well. Empty if the index is unknown.
    """
    own = getattr(model, "optimizer", None)
    if own is None:
        return {}
    found = {
        f"{path}/vars/": place_of_rate(each) if is_stock_optimizer(each) else None
        for path, each in model_objects.optimizers(model).items()
        if stepping(each) is stepping(own)
    }
    places = {prefix: place for prefix, place in found.items() if place is not None}
    return places if len(places) == len(found) else {}


def _settings(checkpoint: OpenCheckpoint) -> Mapping[str, Any]:
    """Return the settings of the script that wrote the file, as far as they are known."""
    values = (checkpoint.record or {}).get("states", {}).get("settings", {}).get("values")
    return values if isinstance(values, dict) else {}


def _is_rate(
    stored: ArraySpec | None, settings: Mapping[str, Any], slots: list[Any]
) -> "bool | None":
    """Tell whether a stored array is a learning rate; `None` if it may be a slot variable as well.

    Args:
        stored: The array after the count of steps, if there is one.
        settings: The settings of the script that wrote the file.
        slots: The slot variables of the model's optimizer.
    """
    if stored is None or stored.shape != () or stored.dtype.kind in "iu":
        return False
    if "schedule" in settings or "learning_rate" in settings:
        return "learning_rate" in settings
    return None if slots and tuple(slots[0].shape) == () else True


def _in_words(
    stored: ArraySpec | None, checkpoint: OpenCheckpoint, settings: Mapping[str, Any]
) -> str:
    if stored is None or stored.dtype.kind != "f":  # HDF5 does not know bfloat16
        return printable(str(settings.get("learning_rate", "another")))
    return f"{float(checkpoint.read(stored)):.7g}"


def _without_rate(
    arrays: Mapping[str, ArraySpec], places: Mapping[str, int]
) -> dict[str, ArraySpec]:
    """Return the arrays as an optimizer with a schedule numbers them."""
    found = {}
    for name, array in arrays.items():
        prefix, index = _numbered(name)
        place = places.get(prefix)
        if place is None or index < place:
            found[name] = array
        elif index > place:
            found[f"{prefix}{index - 1}"] = array
    return found


def _with_rate(
    arrays: Mapping[str, ArraySpec], places: Mapping[str, int], rate: "np.ndarray[Any, Any]"
) -> dict[str, ArraySpec]:
    """Return the arrays as an optimizer without a schedule numbers them, with its own rate."""
    found = {}
    for name, array in arrays.items():
        prefix, index = _numbered(name)
        is_later = index >= places.get(prefix, index + 1)
        found[f"{prefix}{index + 1}" if is_later else name] = array
    return found | {
        f"{prefix}{place}": ArraySpec(f"{prefix}{_OWN}", rate.shape, rate.dtype)
        for prefix, place in places.items()
    }


def _numbered(name: str) -> tuple[str, int]:
    """Return the name of an optimizer's array as its prefix and its number, -1 if it has none."""
    prefix, slash, number = name.rpartition("/")
    return prefix + slash, int(number) if number.isdecimal() and len(number) < 10 else -1
