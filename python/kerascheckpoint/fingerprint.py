"""What the structure and the config of a model depend on, cheap to take and to compare."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import keras_compat
from .checksum import crc32
from .keras_compat import Saveable


def of(saveables: Iterable[Saveable]) -> list[Any]:
    """Return what the structure and the config of a model depend on, cheap to compare.

    For each object: its plain settings, the configs of the objects and the functions that it
    holds. Anything else, a variable too, counts as the same as long as it is the same object.
    """
    marks: list[Any] = []
    for saveable in saveables:
        _mark_dict(vars(saveable.target), marks)
    return marks


def is_same(one: list[Any], other: list[Any]) -> bool:
    """Tell whether two fingerprints are equal; what cannot be compared is not."""
    try:
        return one == other
    except Exception:  # arrays and tensors have several answers
        return False


class _Marks(dict[type, Callable[[Any, list[Any]], object]]):
    """How to mark a value, by its class; found out when the first one of that class is met."""

    def __missing__(self, cls: type) -> Callable[[Any, list[Any]], object]:
        return self.setdefault(cls, _mark_for(cls))


_MARKS = _Marks()


def _mark_for(cls: type) -> Callable[[Any, list[Any]], object]:
    """Return how to mark a value of class `cls`."""
    if issubclass(cls, keras_compat.saveable_type()):
        return _mark_itself
    if issubclass(cls, np.ndarray):
        return _mark_array
    if issubclass(cls, dict):
        return _mark_dict
    if issubclass(cls, list | tuple | set):
        return _mark_items
    if hasattr(cls, "get_config"):
        return _mark_settings
    return _mark_itself


def _mark_itself(value: Any, marks: list[Any]) -> None:
    """Mark a value, or an object, whose identity no other can take as long as it is held here."""
    marks.append(value)


def _mark_array(value: Any, marks: list[Any]) -> None:
    marks.append((value.shape, value.dtype, crc32(np.ascontiguousarray(value).tobytes())))


def _mark_dict(value: dict[Any, Any], marks: list[Any]) -> None:
    marks.append(len(value))
    for name, item in value.items():
        if name not in keras_compat.MIRRORS:
            marks.append(name)
            _MARKS[type(item)](item, marks)


def _mark_items(value: Any, marks: list[Any]) -> None:
    marks.append(len(value))
    for item in value:
        _MARKS[type(item)](item, marks)


def _mark_settings(value: Any, marks: list[Any]) -> None:
    """Mark an initializer, regularizer ... by all that its config says."""
    marks.append(value)
    with contextlib.suppress(Exception):  # its own code, which Keras has not asked for yet
        marks.append(repr(value.get_config()))  # a text stays as it is when settings change
