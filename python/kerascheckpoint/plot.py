"""Draw a metric of checkpoints with matplotlib; R's `plot()` draws the same picture."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .checkpoint_info import CheckpointInfo
from .checkpoint_list import last_monitor, metric_names
from .plot_data import Point, Run, names_of, paired_metric, run_of
from .printable import printable

_LINE, _BEST, _PAIRED = "#0F6B8F", "#D1495B", "#9AA5B1"
# Okabe and Ito's colors, which color-blind people can tell apart.
_RUNS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")


def plot(
    runs: Mapping[str, Sequence[CheckpointInfo]], monitor: str | None = None, ax: Any = None
) -> Any:
    """Draw a metric of runs over the epochs; see `kerascheckpoint.plot_checkpoints`.

    Args:
        runs: The checkpoints of each run, by the path that was given for it.
        monitor: Name of the metric.
        ax: The matplotlib axes; `None` makes new ones.
    """
    infos = [info for run in runs.values() for info in run]
    known = metric_names(infos)
    name = monitor or last_monitor(infos) or next(iter(known), None)
    labels = names_of(list(runs))
    shown = [
        run_of(label, list(run), name or "")
        for label, run in zip(labels, runs.values(), strict=True)
    ]
    drawn = [run for run in shown if run.points]
    if name is None or not drawn:
        if not infos:
            raise ValueError(f"there is no checkpoint at {' or '.join(map(repr, runs))}.")
        names = ", ".join(map(repr, known[:20])) or "none"
        raise ValueError(f"no checkpoint has a finite value of {name!r}. Metrics: {names}.")
    own = ax is None
    ax = _new_axes() if own else ax
    handles = _draw_run(ax, drawn[0], name) if len(drawn) == 1 else _draw_runs(ax, drawn)
    _label_axes(ax, name, sum(run.left_out for run in shown), len(infos))
    if own:
        _head(ax, name, len(infos), drawn)
        ax.figure.legend(
            handles=handles, loc="outside lower left", frameon=False, ncols=_columns(drawn)
        )
    else:
        ax.legend(handles=handles)
    return ax


def _new_axes() -> Any:
    from matplotlib.figure import Figure

    ax = Figure(figsize=(7, 4.5), layout="constrained").add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    return ax


def _draw_run(ax: Any, run: Run, name: str) -> list[Any]:
    """Draw one run; return the entries of the legend."""
    if len(run.paired) > 1:
        ax.plot(*zip(*sorted(run.paired), strict=True), color=_PAIRED, linestyle="--", linewidth=1)
    xs, ys = [point.x for point in run.points], [point.y for point in run.points]
    ax.plot(xs, ys, color=_LINE, alpha=0.6, gid="line")
    fills = [_LINE if point.was_best else "white" for point in run.points]
    size = _point_size(run) ** 2
    ax.scatter(xs, ys, size, fills, edgecolors=_LINE, linewidths=1.2 if size > 9 else 0.8, zorder=3)
    if run.best is not None:
        ax.axhline(run.best.y, color=_BEST, linestyle=":", linewidth=1)
        _ring(ax, run.best, _BEST)
        # To the right of the axes, where there are no points.
        ax.annotate(
            f"best\n{run.best.y:.4g}",
            (1, run.best.y),
            (10, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=_BEST,
            fontweight="bold",
            fontsize="small",
            va="center",
            annotation_clip=False,
        )
    handles = [
        _handle(color=_LINE, marker="o", linestyle="none", label="best when saved"),
        _handle(
            color=_LINE, marker="o", linestyle="none", markerfacecolor="white", label="not the best"
        ),
    ]
    if len(run.paired) > 1:
        label = _text(paired_metric(name))
        handles.append(_handle(color=_PAIRED, linestyle="--", label=label))
    return handles


def _draw_runs(ax: Any, runs: Sequence[Run]) -> list[Any]:
    """Draw each run in its own color; return the entries of the legend."""
    handles = []
    for number, run in enumerate(runs):
        color = _RUNS[number % len(_RUNS)]
        look = {"color": color, "marker": "o", "markersize": 0.7 * _point_size(run)}
        if number >= len(_RUNS):
            look["linestyle"] = "--"
        ax.plot([p.x for p in run.points], [p.y for p in run.points], alpha=0.8, gid="line", **look)
        if run.best is not None:
            _ring(ax, run.best, color)
        best = "" if run.best is None else f" (best: {run.best.y:.4g})"
        handles.append(_handle(label=_text(run.name + best), **look))
    return handles


def _ring(ax: Any, point: Point, color: str) -> None:
    look = {"marker": "o", "markersize": 12, "markeredgewidth": 1.6, "markerfacecolor": "none"}
    ax.plot([point.x], [point.y], color=color, gid="best", clip_on=False, zorder=4, **look)


def _handle(**look: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def _point_size(run: Run) -> float:
    """Return the diameter of markers, smaller if there are many."""
    count = len(run.points)
    return 2.5 if count > 150 else 4.0 if count > 60 else 6.5


def _columns(runs: Sequence[Run]) -> int:
    return 3 if len(runs) == 1 and len(runs[0].name) < 20 else 1


def _label_axes(ax: Any, name: str, left_out: int, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    note = f"\n{left_out} of {count} have no finite value" if left_out else ""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"epochs completed{note}")
    ax.set_ylabel(_text(name, 30))
    ax.margins(x=0.05, y=0.1)
    left, right = ax.get_xlim()
    if right - left < 1:  # show a single epoch with one tick only
        ax.set_xlim((left + right) / 2 - 0.5, (left + right) / 2 + 0.5)


def _head(ax: Any, name: str, count: int, runs: Sequence[Run]) -> None:
    """Add the title, and a subtitle that names the best file."""
    ax.figure.suptitle(
        _text(f"{name} at each checkpoint", 48), x=0.01, ha="left", fontweight="bold"
    )
    text = f"{count} file{'' if count == 1 else 's'}"
    if len(runs) == 1:
        text += f" in {runs[0].name}"
        text += f"\nbest: {runs[0].best_name}" if runs[0].best_name else ""
    ax.set_title(_text(text), loc="left", fontsize="small", color="0.35")


def _text(text: str, width: int = 80) -> str:
    """Return a text in lines that fit, with `$` escaped so that it does not begin a formula."""
    lines = [part for line in text.split("\n") for part in textwrap.wrap(printable(line), width)]
    return "\n".join(lines).replace("$", r"\$")
