"""Print checkpoints and differences as tables on a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .checkpoint_info import CheckpointInfo
from .checkpoint_list import HEADINGS, cell, metric_names
from .compare import ArrayDifference
from .printable import printable

BEFORE = ("epoch", "batch", "step")
AFTER = ("best", "reason", "saved_at", "size", "path")
_METRICS_LIMIT = 50  # metrics shown unless the user chooses the columns


def columns_of(infos: Sequence[CheckpointInfo]) -> list[str]:
    """Return the names of all columns that a table of checkpoints can have."""
    return [*BEFORE, *metric_names(infos), *AFTER]


def sorted_by(infos: Sequence[CheckpointInfo], column: str) -> list[CheckpointInfo]:
    """Return checkpoints sorted by a column, smallest value first, missing values last."""

    def key(info: CheckpointInfo) -> tuple[bool, Any]:
        value = _value(info, column)
        missing = value is None or value != value
        return missing, 0 if missing else value

    return sorted(infos, key=key)


def checkpoints(infos: Sequence[CheckpointInfo], columns: Sequence[str] | None) -> None:
    """Print checkpoints, one on each line; `None` chooses the columns."""
    names = columns or [*BEFORE, *metric_names(infos)[:_METRICS_LIMIT], *AFTER]
    rows = [[cell(name, _value(info, name)) for name in names] for info in infos]
    _print([HEADINGS.get(name, name) for name in names], rows, left=("reason", "path"))


def differences(found: Iterable[ArrayDifference]) -> None:
    """Print how arrays differ, one on each line."""
    headings = ["array", "shape", "dtype", "equal", "max abs", "mean abs", "not finite"]
    rows = [
        [
            *(d.name, "x".join(map(str, d.shape)) or "scalar", d.dtype),
            *("yes" if d.equal else "no", f"{d.max_abs:.5g}", f"{d.mean_abs:.5g}"),
            str(d.not_finite),
        ]
        for d in found
    ]
    _print(headings, rows, left=("array",))


def _print(headings: Sequence[str], rows: list[list[str]], left: Sequence[str]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        side: Any = "left" if heading in left else "right"
        table.add_column(Text(printable(heading)), justify=side, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # rich reads no markup in a Text
    # As wide as the columns need, whatever the terminal: a truncated path is useless.
    width = Console(width=1 << 20).measure(table).maximum
    Console(width=width).print(table)


def _value(info: CheckpointInfo, column: str) -> Any:
    if column in BEFORE or column in AFTER:
        return getattr(info, column)
    return info.metrics.get(column)
