"""A fingerprint of a model's structure and config, cheap to take and to compare."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from ..keras_seam import objects
from ..keras_seam.objects import Saveable
from ..storage.checksum import crc32


def take_fingerprint(saveables: Iterable[Saveable]) -> list[Any]:
    """Return everything that the structure and the config of a model depend on.

    That is, for each object, its plain settings and those of the initializers, regularizers and the
    like that it holds. Everything else, functions and variables included, is compared by identity.
    """
    marks = _Fingerprinter()
    for saveable in saveables:
        attributes = vars(saveable.target)
        by_training = objects.set_by_training(saveable.target)
        names = [
            name
            for name, value in attributes.items()
            if name not in by_training or _may_hold_saveables(value)
        ]
        _mark_names(attributes, names, marks)
    return marks.found


def _may_hold_saveables(value: Any) -> bool:
    return isinstance(value, objects.saveable_type()) or _MARKERS[type(value)] is not None


def is_same(one: list[Any], other: list[Any]) -> bool:
    """Tell whether two fingerprints are equal; values that cannot be compared never are."""
    try:
        return one == other
    except Exception:  # comparing arrays or tensors gives no single answer
        return False


class _Fingerprinter:
    """Collects the marks of a fingerprint, and the containers already visited."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.add = self.found.append
        self._entered: dict[int, int] = {}

    def enter(self, container: Collection[Any]) -> bool:
        """Mark a container by its number; return whether it is new (one may contain itself)."""
        next_number = len(self._entered)
        number = self._entered.setdefault(id(container), next_number)
        self.add(number)
        return number == next_number


_Marker = Callable[[Any, _Fingerprinter], object]


class _Markers(dict[type, _Marker | None]):
    """How to mark a value, by class; determined when a class is first seen."""

    def __missing__(self, cls: type) -> _Marker | None:
        return self.setdefault(cls, _marker_for(cls))


_MARKERS = _Markers()


def _marker_for(cls: type) -> _Marker | None:
    """Return how to mark a value of class `cls`; `None` if the value itself is the mark.

    A mark holds a reference to the value, which keeps its `id()` from being reused.
    """
    if issubclass(cls, objects.saveable_type()):
        return None
    if issubclass(cls, np.ndarray):
        return _mark_array
    if issubclass(cls, dict):
        return _mark_dict
    if issubclass(cls, list | tuple | set):
        return _mark_items
    if hasattr(cls, "get_config"):
        has_slots = any(vars(base).get("__slots__") for base in cls.__mro__)
        return _mark_settings if cls.__dictoffset__ and not has_slots else _mark_config
    return None


def _mark_array(value: np.ndarray[Any, Any], marks: _Fingerprinter) -> None:
    data = np.ascontiguousarray(value).reshape(-1)
    content = data.tobytes() if data.dtype.hasobject else data.view(np.uint8)
    marks.add((value.shape, value.dtype, crc32(content)))


def _mark_dict(value: Mapping[Any, Any], marks: _Fingerprinter) -> None:
    _mark_names(value, list(value), marks)


def _mark_names(value: Mapping[Any, Any], names: list[Any], marks: _Fingerprinter) -> None:
    names = [name for name in names if name not in objects.TRANSIENT_ATTRIBUTES]
    marks.add(len(names))
    if names and marks.enter(value):
        marks.add(names)
        _mark_each([value[name] for name in names], marks)


def _mark_items(value: Collection[Any], marks: _Fingerprinter) -> None:
    marks.add(len(value))
    if value and marks.enter(value):
        _mark_each(value, marks)


def _mark_each(values: Iterable[Any], marks: _Fingerprinter) -> None:
    for value in values:
        marker = _MARKERS[type(value)]
        if marker is None:
            marks.add(value)
        else:
            marker(value, marks)


def _mark_settings(value: Any, marks: _Fingerprinter) -> None:
    """Mark an initializer, regularizer or the like by the settings that make up its config."""
    marks.add(value)
    _mark_dict(vars(value), marks)


def _mark_config(value: Any, marks: _Fingerprinter) -> None:
    """Mark an object that keeps its settings elsewhere (in slots, say) by its config."""
    marks.add(value)
    with contextlib.suppress(Exception):  # `get_config` may be the user's own code
        marks.add(repr(value.get_config()))  # a string, so that later changes cannot reach it
