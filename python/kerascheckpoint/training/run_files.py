"""The durable files of a run, and the deletion of those that are not to be kept."""

import os
from collections.abc import Iterable

from ..notify import warn
from ..policies.best_value import BestTracker
from ..policies.planned_save import PlannedSave
from ..policies.retention import KeptFile, Retention


class RunFiles:
    """Knows the files that this run (or one it continues) wrote, oldest first."""

    def __init__(
        self, retention: Retention, best: BestTracker, files: Iterable[KeptFile] = ()
    ) -> None:
        """Start with the files of the runs before.

        Args:
            retention: Which files to keep.
            best: The best so far, which hears of each save before this object does.
            files: Durable files, oldest first.
        """
        self._retention = retention
        self._best = best
        self._files = list(files)
        self._written = {file.path: _identity(file.path) for file in self._files}
        self._on_their_way: list[str] = []

    def begin(self, save: PlannedSave) -> None:
        """Let no file of this name be deleted until it is known what came of the save."""
        self._on_their_way.append(save.path)

    def abort(self, save: PlannedSave) -> None:
        """Expect the file no more."""
        self._on_their_way.remove(save.path)

    def commit(self, save: PlannedSave) -> None:
        """Take in a file that is durable; delete the files that are no longer kept."""
        self._on_their_way.remove(save.path)
        self._files = [earlier for earlier in self._files if earlier.path != save.path]
        self._files.append(KeptFile(save.path, save.value))
        self._written[save.path] = _identity(save.path)
        best = self._best
        for file in self._retention.to_delete(self._files, best.direction, best.best_path):
            if file.path not in self._on_their_way:
                self._files.remove(file)
                self._delete(file.path)

    def _delete(self, path: str) -> None:
        written = self._written.pop(path)
        try:
            if _identity(path) == written or not os.path.isfile(path):
                os.unlink(path)  # else somebody has put another file there
        except FileNotFoundError:
            pass
        except OSError as error:
            warn(f"an old checkpoint could not be deleted: {error}")


def _identity(path: str) -> tuple[int, int, int] | None:
    """Return what tells a file from any other that takes its place, `None` if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
