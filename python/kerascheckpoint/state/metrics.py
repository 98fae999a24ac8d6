"""The state of metrics in the middle of an epoch."""

from typing import Any

from ..backends.arrays import to_numpy
from .packing import pack


def metric_state(model: Any) -> list[Any]:
    """Return the state of the metrics in the middle of an epoch, bit for bit."""
    return [pack(to_numpy(variable)) for variable in model.metrics_variables]
