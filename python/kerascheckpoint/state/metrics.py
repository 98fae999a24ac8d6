"""The metrics of an unfinished epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from .arrays import KEY
from .packing import unpack


class EpochMetrics:
    """What the metrics of a model have counted in the epoch so far: the record's "metrics"."""

    name = "metrics"
    version = 2

    def __init__(self, model: Any) -> None:
        self._model = model

    def capture(self) -> dict[str, Any]:
        """Return the values of the metrics' variables, bit for bit."""
        variables = self._model.metrics_variables
        return {"values": [{KEY: np.array(to_numpy(variable))} for variable in variables]}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise if a value is not an array."""
        for value in state["values"]:
            _array_of(value)

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Tell whether the metrics are built; TensorFlow builds them at the first batch."""
        return len(self._model.metrics_variables) == len(state["values"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the metrics go on counting."""
        for variable, value in zip(self._model.metrics_variables, state["values"], strict=True):
            variable.assign(_array_of(value))


def _array_of(value: Any) -> "np.ndarray[Any, Any]":
    """Return an array; version 1 had packed ones."""
    array = unpack(value) if isinstance(value, list) else value[KEY]
    if not isinstance(array, np.ndarray):
        raise TypeError("the value of a metric is no array")
    return array
