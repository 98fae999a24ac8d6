"""Whether a model that is due is saved, and where: the rules of `save_best_only`."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..notify import Once
from .best_value import BestTracker
from .monitor import MonitoredValue


@dataclasses.dataclass(frozen=True)
class Decision:
    """What to do with the model at hand.

    Attributes:
        save: Whether to save it.
        value: The monitored value, `None` if there is none.
        is_best: Whether it is the best so far; `None` if that cannot be known.
        aside: Whether it must go to another name, as the best model stands at its own.
    """

    save: bool
    value: float | None
    is_best: bool | None
    aside: bool = False


def decide(
    reading: MonitoredValue,
    ranking: BestTracker,
    *,
    best_only: bool,
    must_save: bool,
    holds_best: Callable[[], bool],
) -> Decision:
    """Decide what happens to a model that is due.

    Args:
        reading: The monitored metric in the logs.
        ranking: The best so far.
        best_only: Whether only the best models are saved.
        must_save: Whether this one is saved in any case (an interrupt).
        holds_best: Tells whether the target's record says that it is a ranked best.
    """
    if reading.value is None or ranking.direction is None:
        improves = None
    else:
        improves = ranking.improves(reading.value)
    if not best_only or improves:
        return Decision(True, reading.value, improves)
    if must_save:
        return Decision(True, reading.value, improves, aside=ranking.is_pending or holds_best())
    if reading.value is None:
        return Decision(not ranking.has_ranked and not holds_best(), None, None)
    return Decision(False, reading.value, improves)


def fields(decision: Decision, ranking: BestTracker, monitor: str, path: str) -> dict[str, Any]:
    """Return what a record says of the monitored metric; nothing where it is not known.

    Args:
        decision: What was decided for the model.
        ranking: The best before it.
        monitor: Name of the metric.
        path: Where the model is saved.
    """
    known = ranking.direction is not None
    best_value, best_path = ranking.ranked_best, ranking.best_path
    if decision.is_best:
        best_value, best_path = decision.value, path
    elif best_path == path:  # which this save is about to replace
        best_path = None
    return {
        "monitor": monitor if known else None,
        "mode": ranking.direction,
        "value": decision.value if known else None,
        "best": decision.is_best if known else None,
        "best_value": best_value,
        "best_name": os.path.basename(best_path) if best_path else None,
    }


def explain(reading: MonitoredValue, name: str, logs: Mapping[str, Any], once: Once) -> None:
    """Warn, once each, of a monitored metric that cannot be ranked."""
    if reading.problem == "absent":
        names = ", ".join(sorted(logs)) or "none"
        once.warn(
            "absent",
            f"Can save best model only with {name} available. The logs have: {names}. Until a "
            "model could be ranked, unranked ones are saved.",
        )
    elif reading.problem == "not scalar":
        once.warn(
            "not scalar",
            f"Can save best model only when `monitor` is a scalar value, and {name} has several "
            "elements: it is treated as absent.",
        )
    elif reading.problem == "not finite":
        once.warn("not finite", f"{name} is {reading.value}: such a value is never the best.")
