"""Settle whether less or more of the monitored metric is better."""

from typing import Any

from ..keras_seam.metrics import metric_direction
from ..notify import Once
from ..policies.best_value import BestTracker
from ..policies.monitor import direction_of_name
from .settings import Settings


def settle_direction(
    best: BestTracker, settings: Settings, model: Any, once: Once, *, has_values: bool
) -> None:
    """Find the direction that `best` ranks by, if it is not known yet.

    The compiled metric decides, then the name. If neither says, lower is assumed to be better, but
    only once a decision needs it.

    Args:
        best: What ranks the models; its direction is set.
        settings: The callback's arguments.
        model: The model in training.
        once: Says the warning once.
        has_values: Whether there is a value to rank.
    """
    if best.direction is not None:
        return
    known = metric_direction(model, settings.monitor.removeprefix("val_"))
    best.direction = known or direction_of_name(settings.monitor)
    if best.direction is None and settings.needs_ranking and has_values:
        best.direction = "min"
        once.warn(
            "direction",
            f"mode='auto' does not know whether less or more of {settings.monitor!r} is better "
            "and assumes that lower is better. Pass mode='min' or mode='max' to settle it.",
        )
