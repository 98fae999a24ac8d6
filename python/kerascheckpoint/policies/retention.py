"""Which files to keep: pure policies over what is known of them. Somebody else deletes."""

import dataclasses
import math
from collections.abc import Sequence

from .monitor import Direction


@dataclasses.dataclass(frozen=True)
class KeptFile:
    """A durable file of this run.

    Attributes:
        path: Where it is.
        value: The value it is ranked by, if it has one.
        saved_at: The time in its record, which tells it from any file that takes its place.
    """

    path: str
    value: float | None
    saved_at: str | None = None


@dataclasses.dataclass(frozen=True)
class Retention:
    """Keep the `keep_best` best and the `keep_last` newest files: the union, where both are set.

    With neither, everything is kept.
    """

    keep_best: int | None = None
    keep_last: int | None = None

    def to_delete(
        self, files: Sequence[KeptFile], direction: Direction | None, best_path: str | None
    ) -> list[KeptFile]:
        """Return the files to delete, never the newest nor the best.

        Args:
            files: Durable files of the run, oldest first.
            direction: `"min"` or `"max"`; needed for `keep_best`.
            best_path: The file that holds the best model.
        """
        if self.keep_best is None and self.keep_last is None:
            return []
        kept = {file.path for file in files[-(self.keep_last or 1) :]}
        if best_path is not None:
            kept.add(best_path)
        if self.keep_best is not None:
            ranked = _ranked(files, direction)
            if not ranked and self.keep_last is None:
                return []  # nothing tells which files are the best
            kept |= {file.path for file in ranked[: self.keep_best]}
        return [file for file in files if file.path not in kept]


def _ranked(files: Sequence[KeptFile], direction: Direction | None) -> list[KeptFile]:
    """Return the files that have a value, best first; of equal ones the earliest."""
    sign = -1.0 if direction == "max" else 1.0
    valued = [file for file in files if file.value is not None and math.isfinite(file.value)]
    return sorted(valued, key=lambda file: sign * (file.value or 0.0))
