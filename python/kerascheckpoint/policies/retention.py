"""Which files to keep. A pure policy: `training/run_files.py` deletes."""

import dataclasses
from collections.abc import Sequence

from .monitor import Direction, ranked


@dataclasses.dataclass(frozen=True)
class KeptFile:
    """A durable file of this run.

    Attributes:
        path: Its path.
        value: The value it is ranked by, if any.
        saved_at: The time in its record, which tells it from a later file at the same path.
    """

    path: str
    value: float | None
    saved_at: str | None = None


@dataclasses.dataclass(frozen=True)
class Retention:
    """Keep the `keep_best` best files and the `keep_last` newest files.

    If both are set, a file stays if either rule keeps it. If neither is set, all files stay.
    """

    keep_best: int | None = None
    keep_last: int | None = None

    def to_delete(
        self, files: Sequence[KeptFile], direction: Direction | None, best_path: str | None
    ) -> list[KeptFile]:
        """Return the files to delete; never the newest or the best.

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
            valued = ranked(files, lambda file: file.value, direction or "min")
            if not valued and self.keep_last is None:
                return []  # the best files are unknown
            kept |= {file.path for file in valued[: self.keep_best]}
        return [file for file in files if file.path not in kept]
