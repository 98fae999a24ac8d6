"""What the structure and the config of a model depend on, cheap to take and to compare."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from ..keras_seam import objects
from ..keras_seam.objects import Saveable
from ..storage.checksum import crc32


def take_fingerprint(saveables: Iterable[Saveable]) -> list[Any]:
    """Return what the structure and the config of a model depend on, cheap to compare.

    For each object: its plain settings, and those of the initializers, regularizers ... that it
    holds. Anything else, a function or a variable too, counts as the same as long as it is the
    same object.
    """
    marks = _Fingerprinter()
    for saveable in saveables:
        _mark_dict(vars(saveable.target), marks)
    return marks.found


def is_same(one: list[Any], other: list[Any]) -> bool:
    """Tell whether two fingerprints are equal; what cannot be compared is not."""
    try:
        return one == other
    except Exception:  # arrays and tensors have several answers
        return False


class _Fingerprinter:
    """The marks found so far, and which containers they come from."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.add = self.found.append
        self._entered: dict[int, int] = {}

    def enter(self, container: Collection[Any]) -> bool:
        """Mark a container by its number; tell whether it is a new one: it may hold itself."""
        next_number = len(self._entered)
        number = self._entered.setdefault(id(container), next_number)
        self.add(number)
        return number == next_number


_Marker = Callable[[Any, _Fingerprinter], object]


class _Markers(dict[type, _Marker | None]):
    """How to mark a value, by its class; found out when the first one of that class is met."""

    def __missing__(self, cls: type) -> _Marker | None:
        return self.setdefault(cls, _way_for(cls))


_MARKERS = _Markers()


def _way_for(cls: type) -> _Marker | None:
    """Return how to mark a value of class `cls`; `None` if it is its own mark.

    The identity of an object cannot pass to another one as long as it is held here.
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
    marks.add(len(value))
    if value and marks.enter(value):
        names = [name for name in value if name not in objects.TRANSIENT_ATTRIBUTES]
        marks.add(names)
        _mark_each([value[name] for name in names], marks)


def _mark_items(value: Collection[Any], marks: _Fingerprinter) -> None:
    marks.add(len(value))
    if value and marks.enter(value):
        _mark_each(value, marks)


def _mark_each(values: Iterable[Any], marks: _Fingerprinter) -> None:
    for value in values:
        way = _MARKERS[type(value)]
        if way is None:
            marks.add(value)
        else:
            way(value, marks)


def _mark_settings(value: Any, marks: _Fingerprinter) -> None:
    """Mark an initializer, regularizer ... by its settings, of which its config is made."""
    marks.add(value)
    _mark_dict(vars(value), marks)


def _mark_config(value: Any, marks: _Fingerprinter) -> None:
    """Mark an object whose settings lie elsewhere by its config."""
    marks.add(value)
    with contextlib.suppress(Exception):  # its own code, which Keras has not asked for yet
        marks.add(repr(value.get_config()))  # a text stays as it is when settings change
