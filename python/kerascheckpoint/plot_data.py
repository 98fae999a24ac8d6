"""The data of the picture of a metric: runs, their points, and the best of them."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from .checkpoint_info import CheckpointInfo
from .checkpoint_list import best_first, direction_for
from .policies.monitor import is_improvement


@dataclasses.dataclass(frozen=True)
class Point:
    """One checkpoint in the picture.

    Attributes:
        x: Epochs completed, including the done part of an unfinished one.
        y: The metric, a finite number.
        was_best: Whether it was the best when it was saved.
    """

    x: float
    y: float
    was_best: bool


@dataclasses.dataclass(frozen=True)
class Run:
    """The checkpoints of one run in the picture, from left to right.

    Attributes:
        name: Its name in the legend.
        points: The checkpoints with a finite value.
        best: The best of them; `None` if unknown.
        best_name: File name of the best one.
        paired: The metric on the other data (`loss` for `val_loss`), where both are known.
        left_out: Number of checkpoints without a finite value.
    """

    name: str
    points: list[Point]
    best: Point | None
    best_name: str
    paired: list[tuple[float, float]]
    left_out: int


def names_of(paths: Sequence[str]) -> list[str]:
    """Return short names for paths: their parts after the common beginning."""
    parts = [path.rstrip("/").split("/") for path in paths]
    shared = 0
    while all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    return ["/".join(one[shared:]) for one in parts]


def run_of(label: str, infos: list[CheckpointInfo], name: str) -> Run:
    """Return the data of one run."""
    batches = _batches_per_epoch(infos)
    direction = direction_for(infos, name)
    best = None if direction is None else next(best_first(infos, name, direction), None)
    points, paired = [], []
    best_point, to_beat = None, None
    for info in infos:
        x, y = _position(info, batches), info.metrics.get(name, math.nan)
        if not math.isfinite(y):
            continue
        improves = direction is not None and is_improvement(y, to_beat, direction)
        to_beat = y if improves else to_beat
        was_best = bool(info.best) if info.monitor == name else improves
        points.append(Point(x, y, was_best))
        if info is best:
            best_point = points[-1]
        other = info.metrics.get(paired_metric(name), math.nan)
        if math.isfinite(other):
            paired.append((x, other))
    points.sort(key=lambda point: point.x)
    best_name = best.path.rstrip("/").rpartition("/")[2] if best else ""
    return Run(label, points, best_point, best_name, paired, len(infos) - len(points))


def paired_metric(name: str) -> str:
    """Return the same metric on the other data: `loss` for `val_loss` and vice versa."""
    return name.removeprefix("val_") if name.startswith("val_") else f"val_{name}"


def _batches_per_epoch(infos: Sequence[CheckpointInfo]) -> float | None:
    sizes = [
        ((info.step or 0) - (info.batch or 0)) / info.epoch
        for info in infos
        if info.epoch and info.step
    ]
    return statistics.median(sizes) if sizes else None


def _position(info: CheckpointInfo, batches: float | None) -> float:
    part = (info.batch or 0) / batches if batches else 0.5 if info.batch else 0.0
    return (info.epoch or 0) + min(part, 1.0)
