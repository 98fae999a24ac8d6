"""What the structure and the config of a model depend on, cheap to take and to compare."""

import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import keras_compat
from .keras_compat import Saveable


def of(saveables: Iterable[Saveable]) -> list[Any]:
    """Return what the structure and the config of a model depend on, cheap to compare.

    For each object: its plain settings, and the identity of the objects and functions that it
    holds. Variables are left out, as training changes them.
    """
    marks: list[Any] = []
    for saveable in saveables:
        for name, value in vars(saveable.target).items():
            mark = _MARKS[type(value)]
            if mark is not None:
                marks.append(name)
                mark(value, marks)
    return marks


class _Marks(dict[type, Callable[[Any, list[Any]], object] | None]):
    """How to mark a value, by its class; found out when the first one of that class is met."""

    def __missing__(self, cls: type) -> Callable[[Any, list[Any]], object] | None:
        return self.setdefault(cls, _mark_for(cls))


_MARKS = _Marks()


def _mark_for(cls: type) -> Callable[[Any, list[Any]], object] | None:
    """Return how to mark a value of class `cls`; `None` if it says nothing of the structure."""
    if issubclass(cls, bool | int | float | str | bytes | types.NoneType | np.generic):
        return _mark_value
    if issubclass(cls, keras_compat.saveable_type() | types.FunctionType):
        return _mark_identity
    if issubclass(cls, np.ndarray):
        return _mark_array
    if issubclass(cls, dict):
        return _mark_dict
    if issubclass(cls, list | tuple | set):
        return _mark_items
    if hasattr(cls, "get_config"):
        return _mark_settings
    return None


def _mark_value(value: Any, marks: list[Any]) -> None:
    marks.append(value)


def _mark_array(value: Any, marks: list[Any]) -> None:
    marks.append(value.tobytes() if value.size <= 64 else id(value))  # a setting, or data


def _mark_identity(value: Any, marks: list[Any]) -> None:
    marks.append(id(value))


def _mark_dict(value: Any, marks: list[Any]) -> None:
    _mark_items(value.values(), marks)


def _mark_items(value: Any, marks: list[Any]) -> None:
    marks.append(len(value))
    for item in value:
        mark = _MARKS[type(item)]
        if mark is not None:
            mark(item, marks)


def _mark_settings(value: Any, marks: list[Any]) -> None:
    marks.append(id(value))
    for item in vars(value).values():
        mark = _MARKS[type(item)]
        if mark is _mark_value or mark is _mark_array:
            mark(item, marks)
