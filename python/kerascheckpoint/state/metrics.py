"""The metrics of an unfinished epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.arrays import to_numpy
from .arrays import KEY
from .packing import unpack


class EpochMetrics:
    """What a model's metrics have accumulated so far in the epoch: the record's "metrics"."""

    name = "metrics"
    version = 2

    def __init__(self, model: Any) -> None:
        self._model = model

    def capture(self) -> dict[str, Any]:
        """Return the exact values of the metrics' variables."""
        variables = self._model.metrics_variables
        return {"values": [{KEY: np.array(to_numpy(variable))} for variable in variables]}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise an error if a value is not an array."""
        for value in state["values"]:
            _array_of(value)

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Tell whether the metrics are built; on TensorFlow, the first batch builds them."""
        return len(self._model.metrics_variables) == len(state["values"])

    def restore(self, state: Mapping[str, Any]) -> None:
        """Make the metrics continue from the stored values."""
        for variable, value in zip(self._model.metrics_variables, state["values"], strict=True):
            variable.assign(_array_of(value))


def _array_of(value: Any) -> "np.ndarray[Any, Any]":
    """Return the array; version 1 stored packed ones."""
    array = unpack(value) if isinstance(value, list) else value[KEY]
    if not isinstance(array, np.ndarray):
        raise TypeError("the value of a metric is not an array")
    return array
