"""What the best value means: the direction that improves it, and the model that reached it."""

import weakref
from typing import Any

from ..keras_seam.metrics import metric_direction
from ..notify import Once, warn
from ..policies.best_value import BestTracker
from ..policies.monitor import direction_of_name
from .settings import Settings


def settle_direction(
    best: BestTracker, settings: Settings, model: Any, once: Once, *, has_values: bool
) -> None:
    """Set the direction that `best` ranks by, if it is still unknown.

    The compiled metric decides, then the name. If neither does, lower is assumed to be better, with
    a warning, as soon as a decision needs the direction.

    Args:
        best: Ranks the models; its direction is set.
        settings: The callback's arguments.
        model: The model in training.
        once: Gives the warning once.
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
            f"mode='auto' cannot tell the direction of {settings.monitor!r} and assumes that lower "
            "is better. Pass mode='min' or mode='max' to be explicit.",
        )


def remember_model(
    before: "weakref.ref[Any] | None", model: Any, best: BestTracker, settings: Settings
) -> "weakref.ref[Any]":
    """Warn if a model has to beat the best value of another one; return a reference to the model.

    Args:
        before: The model of the last run, if any.
        model: The model of this run.
        best: The best value so far.
        settings: The callback's arguments.
    """
    is_other = before is not None and before() is not model
    if is_other and settings.save_best_only and best.ranked_best is not None:
        warn(
            f"this callback has trained another model before: {model.name!r} is saved only if it "
            f"beats that model's {settings.monitor}, {best.ranked_best:g}. To start afresh, set "
            "best=None or use a new callback."
        )
    return weakref.ref(model)
