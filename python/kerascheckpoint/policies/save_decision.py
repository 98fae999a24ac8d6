"""Whether and where to save a model that is due: the rules of `save_best_only`."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ..notify import Once
from .best_value import BestTracker
from .monitor import MonitoredValue
from .planned_save import PlannedSave


@dataclasses.dataclass(frozen=True)
class Decision:
    """What to do with the current model.

    Attributes:
        save: Whether to save it.
        value: The monitored value, `None` if there is none.
        is_best: Whether it is the best so far; `None` if unknown.
        spares_best: Whether to save it under another name, because the best model has its name.
    """

    save: bool
    value: float | None
    is_best: bool | None
    spares_best: bool = False


def depends_on_target(monitored: MonitoredValue, *, best_only: bool, must_save: bool) -> bool:
    """Tell whether `decide` needs to know if the target holds a ranked best model."""
    return best_only and (must_save or monitored.value is None)


def decide(
    monitored: MonitoredValue,
    best: BestTracker,
    *,
    best_only: bool,
    must_save: bool,
    holds_best: bool,
) -> Decision:
    """Decide what to do with a model that is due.

    Args:
        monitored: The monitored metric in the logs.
        best: The best so far.
        best_only: Whether only the best models are saved.
        must_save: Whether to save this model in any case, as after a signal.
        holds_best: Whether the record at the target is that of a ranked best model; ignored unless
            `depends_on_target`.
    """
    if monitored.value is None or best.direction is None:
        improves = None
    else:
        improves = best.improves(monitored.value)
    if not best_only or improves:
        return Decision(True, monitored.value, improves)
    if must_save:
        spares_best = best.is_pending or holds_best
        return Decision(True, monitored.value, improves, spares_best)
    if monitored.value is None:
        return Decision(not best.has_ranked and not holds_best, None, None)
    return Decision(False, monitored.value, improves)


def fields(save: PlannedSave, best: BestTracker, monitor: str) -> dict[str, Any]:
    """Return the record's fields about the monitored metric; `None` for what is unknown.

    Args:
        save: The save.
        best: The best before it.
        monitor: Name of the metric.
    """
    known = best.direction is not None
    best_value, best_path = best.ranked_best, best.best_path
    if save.is_best:
        best_value, best_path = save.value, save.path
    elif best_path == save.path:  # this save replaces it
        best_path = None
    return {
        "monitor": monitor if known else None,
        "mode": best.direction,
        "value": save.value if known else None,
        "best": save.is_best if known else None,
        "best_value": best_value,
        "best_name": os.path.basename(best_path) if best_path else None,
    }


def explain(monitored: MonitoredValue, name: str, logs: Mapping[str, Any], once: Once) -> None:
    """Warn, once per reason, that the monitored metric cannot be ranked."""
    if monitored.problem == "absent":
        names = ", ".join(sorted(logs)) or "none"
        once.warn(
            "absent",
            f"Can save best model only with {name} available. The logs have: {names}. Unranked "
            "models are saved until one can be ranked.",
        )
    elif monitored.problem == "not scalar":
        once.warn(
            "not scalar",
            f"Can save best model only when `monitor` is a scalar value. {name} has several "
            "elements and is treated as absent.",
        )
    elif monitored.problem == "not finite":
        once.warn("not finite", f"{name} is {monitored.value}, which is never the best.")
