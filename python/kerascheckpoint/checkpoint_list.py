"""`CheckpointList`: checkpoints, oldest first, which of them is best, and a table of them."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, SupportsIndex, overload

from .checkpoint_info import CheckpointInfo
from .policies.monitor import Direction, direction_of_name, ranked
from .printable import printable

HEADINGS = {"saved_at": "saved at (UTC)"}
_COLUMNS = ("epoch", "batch", "step", "best", "reason", "saved_at", "size", "path")


class CheckpointList(list[CheckpointInfo]):
    """A list of checkpoints, oldest first, that notebooks show as a table."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> CheckpointInfo: ...
    @overload
    def __getitem__(self, index: slice) -> "CheckpointList": ...
    def __getitem__(self, index: "SupportsIndex | slice") -> "CheckpointInfo | CheckpointList":
        """Return one of them, or a part of the list as such a list."""
        if isinstance(index, slice):
            return CheckpointList(super().__getitem__(index))
        return super().__getitem__(index)

    @property
    def best(self) -> CheckpointInfo | None:
        """The best checkpoint in the list, by the metric monitored last; `None` if unknown.

        In contrast, `info.best` says whether a checkpoint was the best when it was saved. The file
        is not verified; `best_checkpoint` does that.
        """
        monitor = last_monitor(self)
        direction = direction_for(self, monitor)
        if monitor is None or direction is None:
            return None
        return next(best_first(self, monitor, direction), None)

    def to_pandas(self) -> Any:
        """Return a pandas data frame with one row per checkpoint and one column per metric.

        A metric whose name is already a column becomes `metric_<name>`.

        Raises:
            ImportError: If pandas is not installed.
        """
        import pandas

        names = metric_names(self)
        fields = [name for name in CheckpointInfo.__dataclass_fields__ if name != "metrics"]
        columns: dict[str, list[Any]] = {
            field: [getattr(info, field) for info in self] for field in fields
        }
        for name in names:
            column = f"metric_{name}" if name in columns else name
            columns[column] = [info.metrics.get(name, float("nan")) for info in self]
        return pandas.DataFrame(columns)

    def _repr_html_(self) -> str:
        names = metric_names(self)[:20]
        columns = [*_COLUMNS[:3], *names, *_COLUMNS[3:]]
        headings = [HEADINGS.get(name, name) for name in columns]
        rows = [
            [cell(name, getattr(info, name)) for name in _COLUMNS[:3]]
            + [cell("", info.metrics.get(name)) for name in names]
            + [cell(name, getattr(info, name)) for name in _COLUMNS[3:]]
            for info in self
        ]
        return f"<table>{_row(headings, 'th')}{''.join(_row(row, 'td') for row in rows)}</table>"


def metric_names(infos: Iterable[CheckpointInfo]) -> list[str]:
    """Return the names of all metrics, without repeats, in order of appearance."""
    return list(dict.fromkeys(name for info in infos for name in info.metrics))


def last_monitor(infos: Sequence[CheckpointInfo]) -> str | None:
    """Return the metric that was monitored last, `None` if none was."""
    return next((info.monitor for info in reversed(infos) if info.monitor is not None), None)


def direction_for(infos: Sequence[CheckpointInfo], monitor: str | None) -> Direction | None:
    """Return the direction stored in the checkpoints, else the one that the name implies."""
    if monitor is None:
        return None
    saved = [info.mode for info in infos if info.monitor == monitor and info.mode]
    return saved[-1] if saved else direction_of_name(monitor)


def best_first(
    infos: Iterable[CheckpointInfo], monitor: str, direction: Literal["min", "max"]
) -> Iterator[CheckpointInfo]:
    """Yield the checkpoints with a finite value of a metric, best first; of equals the earliest."""
    values: dict[str, float] = {
        info.path: info.metrics[monitor]
        for info in infos
        if monitor in info.metrics and info.schema is not None and not info.is_cut_short
    }
    valued = [info for info in infos if info.path in values]
    return by_value(valued, values, direction)


def by_value(
    infos: Iterable[CheckpointInfo], values: Mapping[str, float], direction: Direction
) -> Iterator[CheckpointInfo]:
    """Yield checkpoints, best first, by their finite values (by path); of equals the earliest."""
    yield from ranked(infos, lambda info: values[info.path], direction)


def _row(cells: Iterable[str], tag: str) -> str:
    shown = (f"<{tag}>{html.escape(printable(cell))}</{tag}>" for cell in cells)
    return f"<tr>{''.join(shown)}</tr>"


def cell(column: str, value: Any) -> str:
    """Return the text of a table's cell."""
    if value is None:
        return ""
    if column == "best":
        return "*" if value else ""
    if column == "size":
        return readable_size(value)
    if column == "saved_at":
        return str(value.strftime("%Y-%m-%d %H:%M:%S"))
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def readable_size(size: float) -> str:
    """Return a number of bytes with a fitting unit, as in `"12.3 MB"`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
