"""What a resumed run takes over from earlier runs: the best value and the files."""

import dataclasses
from typing import Any

from .. import catalog, location
from ..checkpoint_info import CheckpointInfo
from ..finding import FoundFile
from ..notify import Once
from ..policies.monitor import Direction, direction_of_mode, is_improvement
from ..policies.retention import KeptFile
from ..storage.base import Storage
from .direction import settle_direction
from .run import Run
from .run_files import RunFiles


@dataclasses.dataclass
class EarlierRun:
    """The checkpoints that earlier runs wrote for the same template.

    Attributes:
        info: The checkpoint that training continues from.
        record: All fields of its record.
        files: The template's checkpoints that have a record, oldest first, except those known to be
            damaged.
        storage: The place of the files.
        found: What the list of the directory has on each file, by path.
    """

    info: CheckpointInfo
    record: dict[str, Any]
    files: list[CheckpointInfo]
    storage: Storage
    found: dict[str, FoundFile] = dataclasses.field(default_factory=dict)

    def hand_over(self, run: Run, model: Any, once: Once) -> None:
        """Pass the best value and the files to the run that continues."""
        settings, best = run.settings, run.best
        if self.info.monitor == settings.monitor and best.direction is None:
            best.direction = direction_of_mode(self.info.mode)
        has_values = any(settings.monitor in info.metrics for info in self.files)
        settle_direction(best, settings, model, once, has_values=has_values)
        if best.direction is not None:
            self.discard_damaged(settings.monitor, best.direction, settings.keep_best or 1)
            best.restore(*self.best(settings.monitor, best.direction, settings.min_delta))
        run.add_lineage(self.record["runs"])
        kept = self.kept_files(settings.monitor, settings.template.name)
        run.files = RunFiles(settings.retention, best, self.storage, kept)

    def discard_damaged(self, monitor: str, direction: Direction, count: int) -> None:
        """Verify the `count` best files; leave damaged ones out, with a warning."""
        values = {
            info.path: value
            for info in self.files
            if (value := _ranked_value(info, monitor)) is not None
        }
        valued = [info for info in self.files if info.path in values]
        whole = 0
        for info in catalog.ranked(valued, values, direction):
            if whole == count:
                return
            if info.path == self.info.path:  # verified already
                whole += 1
                continue
            checkpoint = catalog.open_first_valid([info], self.storage)
            if checkpoint is None:
                self.files.remove(info)
            else:
                checkpoint.close()
                whole += 1

    def best(
        self, monitor: str, direction: Direction, min_delta: float
    ) -> tuple[float | None, str | None]:
        """Return the best value and its file, by comparing the files in the order of their saves.

        If the best file was overwritten or deleted, its value in the record still counts.
        """
        best: float | None = None
        path = None
        for info in self.files:
            value = _ranked_value(info, monitor)
            if value is not None and is_improvement(value, best, direction, min_delta):
                best, path = value, info.path
        known = self.record.get("best_value") if self.record.get("monitor") == monitor else None
        if known is not None and is_improvement(known, best, direction):
            name = self.record.get("best_name")
            directory = location.parent(self.info.path)
            if name is None or not self.storage.exists(location.join(directory, name)):
                best, path = known, None
        return best, path

    def kept_files(self, monitor: str, template: str) -> list[KeptFile]:
        """Return the files that the earlier runs wrote for `template`, oldest first."""
        runs = set(self.record["runs"])
        files = []
        for info in self.files:
            file = self.found[info.path]
            if file.template == template and file.run in runs:
                files.append(KeptFile(info.path, _ranked_value(info, monitor), file.saved_at))
        return files


def _ranked_value(info: CheckpointInfo, monitor: str) -> float | None:
    """Return the value by which a file is ranked, `None` if it is unranked."""
    return None if info.is_cut_short else info.metrics.get(monitor)
