"""Carry training on from the newest usable checkpoint of a template."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from .. import catalog
from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointMismatchError
from ..formats import record
from ..formats.keras_file import reader
from ..keras_seam.fit_control import forget_start, skip_batches
from ..notify import warn
from ..policies.file_template import FileTemplate
from ..policies.monitor import Direction, is_improvement
from ..policies.retention import KeptFile
from ..restore.model import restore
from ..snapshot.compiled import compiled
from ..state import random as random_state
from ..state.packing import unpack


@dataclasses.dataclass
class ResumePoint:
    """A checkpoint that training continues from.

    Attributes:
        info: What it says of itself.
        record: All fields of its record.
        earlier: The checkpoints of the template that have a record, oldest first; without those
            that are known to be damaged.
    """

    info: CheckpointInfo
    record: dict[str, Any]
    earlier: list[CheckpointInfo]

    @classmethod
    def find(cls, template: FileTemplate) -> "ResumePoint | None":
        """Return the newest undamaged checkpoint with a record; warn of damaged ones.

        Raises:
            CheckpointSchemaError: If a newer version of this package wrote one of the files.
        """
        infos = [info for info in catalog.list_of(template) if info.schema is not None]
        while infos:
            info = catalog.first_valid([infos[-1]])
            if info is not None:
                fields = reader.read_record(info.path) or {}
                missing = record.missing_to_continue(fields)
                if missing is None:
                    return cls(info, fields, infos)
                warn(f"passed over: the record of {info.path!r} has no usable {missing!r}")
            infos.pop()
        return None

    def is_newer_than(self, other: "ResumePoint") -> bool:
        """Tell whether this one's file is newer."""
        return self.info.age_key > other.info.age_key

    def restore(self, model: Any) -> None:
        """Put weights, optimizer and random state back.

        Raises:
            CheckpointMismatchError: If the model or its compilation differs.
        """
        span = int(getattr(model, "steps_per_execution", 1) or 1)
        steps = self.record.get("epoch_steps")
        if self.info.batch and self.info.batch % span and self.info.batch != steps:
            raise CheckpointMismatchError(
                f"{self.info.path!r} was saved after batch {self.info.batch} of an epoch, which "
                f"steps_per_execution={span} cannot start from: compile with a divisor of it"
            )
        if self.info.batch and self.record["compiled"] != compiled(model):
            raise CheckpointMismatchError(
                f"{self.info.path!r} was saved in the middle of an epoch, and the model is "
                "compiled with another loss or other metrics than then"
            )
        restore(model, self.info.path)

    def enter_epoch(self, model: Any, *, in_fit: bool) -> Callable[[], None]:
        """At the begin of the first epoch: leave no trace on the model, skip what is done.

        Args:
            model: The model in training.
            in_fit: Whether `fit` trains it; a loop of the user's own has to skip by itself.

        Returns:
            A function that ends the skipping, if it has not ended by then.
        """
        forget_start(model)
        self.restore_history(model)
        if not self.info.batch:
            return do_nothing
        stored = self.record["metric_state"]

        def restore_metrics() -> None:
            for variable, packed in zip(model.metrics_variables, stored, strict=True):
                variable.assign(unpack(packed))

        def restore_random() -> None:  # drawing the batches again may have used it
            random_state.restore_process(self.record["random"])

        if not in_fit:
            return do_nothing
        if len(model.metrics_variables) == len(stored):
            restore_metrics()
            return skip_batches(model, self.info.batch, do_nothing, restore_random)
        # TensorFlow builds metrics at the first batch
        return skip_batches(model, self.info.batch, restore_metrics, restore_random)

    def restore_history(self, model: Any) -> None:
        """Put the epochs before into the history that `fit` returns."""
        history = getattr(model, "history", None)
        if history is None or not isinstance(getattr(history, "history", None), dict):
            return
        history.epoch[:0] = self.record["epochs"]
        for name, values in self.record["history"].items():
            history.history[name] = [*values, *history.history.get(name, [])]

    def discard_damaged(self, monitor: str, direction: Direction, count: int) -> None:
        """Read the `count` best files as a whole; leave the damaged ones out, with a warning."""
        values = {
            info.path: value
            for info in self.earlier
            if (value := _ranked_value(info, monitor)) is not None
        }
        valued = [info for info in self.earlier if info.path in values]
        whole = 0
        for info in catalog.ranked(valued, values, direction):
            if whole == count:
                return
            if catalog.first_valid([info]) is None:
                self.earlier.remove(info)
            else:
                whole += 1

    def best(
        self, monitor: str, direction: Direction, min_delta: float
    ) -> tuple[float | None, str | None]:
        """Return the best value and its file, judged one after the other as the runs did it.

        A best file that was overwritten or deleted is known from the record: its value counts.
        """
        best: float | None = None
        path = None
        for info in self.earlier:
            value = _ranked_value(info, monitor)
            if value is not None and is_improvement(value, best, direction, min_delta):
                best, path = value, info.path
        known = self.record.get("best_value") if self.record.get("monitor") == monitor else None
        if known is not None and is_improvement(known, best, direction):
            name = self.record.get("best_name")
            if name is None or not os.path.exists(
                os.path.join(os.path.dirname(self.info.path), name)
            ):
                best, path = known, None
        return best, path

    def kept_files(self, monitor: str, template: str) -> list[KeptFile]:
        """Return the files that the runs before this one wrote for `template`, oldest first."""
        runs = set(self.record["runs"])
        files = []
        for info in self.earlier:
            fields = reader.read_record(info.path) or {}
            own_run = (fields.get("runs") or [None])[-1]
            if fields.get("template") == template and own_run in runs:
                files.append(KeptFile(info.path, _ranked_value(info, monitor)))
        return files


def do_nothing() -> None:
    """Do nothing."""


def _ranked_value(info: CheckpointInfo, monitor: str) -> float | None:
    """Return the value that a file is ranked by, `None` if it is not ranked."""
    return None if info.is_cut_short else info.metrics.get(monitor)
