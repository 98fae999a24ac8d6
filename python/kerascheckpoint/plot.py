"""Draw a metric of checkpoints over the epochs with matplotlib."""

import math
from collections.abc import Sequence
from typing import Any

from .checkpoint_info import CheckpointInfo
from .checkpoint_list import best_first, direction_for, last_monitor, metric_names
from .printable import printable

_FEW = 60  # up to this many checkpoints, each gets a marker


def plot(infos: Sequence[CheckpointInfo], monitor: str | None = None, ax: Any = None) -> Any:
    """See `kerascheckpoint.plot_checkpoints`."""
    name = monitor or last_monitor(infos) or next(iter(metric_names(infos)), None)
    values = [(_position(info), info.metrics.get(name or "", math.nan)) for info in infos]
    points = [(x, y) for x, y in values if math.isfinite(y)]
    if name is None or not points:
        names = ", ".join(map(repr, metric_names(infos)[:20])) or "none"
        raise ValueError(f"no checkpoint has a finite value of {name!r}. Metrics: {names}.")
    if ax is None:
        ax = _new_axes()
    xs, ys = zip(*points, strict=True)
    ax.plot(xs, ys, color="tab:blue", marker="o" if len(xs) <= _FEW else None, markersize=4)
    _mark_best(ax, infos, name)
    ax.set_xlabel("epochs completed")
    ax.set_ylabel(_escaped(name))
    left_out = len(values) - len(points)
    if left_out:
        ax.set_title(
            f"{left_out} of {len(values)} have no finite value", fontsize="small", loc="left"
        )
    ax.margins(x=0.05, y=0.15)
    return ax


def _new_axes() -> Any:
    from matplotlib import ticker
    from matplotlib.figure import Figure

    ax = Figure(figsize=(7, 4), layout="constrained").add_subplot()
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    return ax


def _mark_best(ax: Any, infos: Sequence[CheckpointInfo], name: str) -> None:
    direction = direction_for(infos, name)
    best = None if direction is None else next(best_first(infos, name, direction), None)
    if best is None:
        return
    x, y = _position(best), best.metrics[name]
    ax.plot([x], [y], linestyle="none", marker="*", markersize=14, color="tab:orange", zorder=3)
    where = -18 if direction == "min" else 12  # points; away from the line
    ax.annotate(f"best: {y:.4g}", (x, y), (0, where), textcoords="offset points", ha="center")


def _position(info: CheckpointInfo) -> float:
    """Return the number of completed epochs, plus a half for a checkpoint within an epoch."""
    return (info.epoch or 0) + (0.5 if info.batch else 0.0)


def _escaped(name: str) -> str:
    return printable(name).replace("$", r"\$")
