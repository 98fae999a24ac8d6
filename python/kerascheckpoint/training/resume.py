"""Carry training on from the newest usable checkpoint of a template."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from .. import catalog
from ..backends import processes
from ..backends.processes import Processes
from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointCorruptError, CheckpointMismatchError
from ..file_kind import WEIGHTS_SUFFIX
from ..formats import record
from ..formats.base import OpenCheckpoint
from ..formats.forms import open_checkpoint
from ..keras_seam.fit_control import (
    epochs_of_fit,
    forget_start,
    skip_batches,
    start_at_epoch,
)
from ..notify import Once, warn
from ..policies.file_template import FileTemplate
from ..policies.monitor import scalar_logs
from ..restore.model import restore_open
from ..snapshot.compiled import compiled
from ..state import callbacks, data
from ..state import random as random_state
from ..state.packing import unpack
from ..storage.base import Storage
from ..verify import warn_of_changes
from .earlier_run import EarlierRun
from .messages import Messages
from .role import all_or_none, first_decides
from .run import Run


@dataclasses.dataclass
class ResumePoint:
    """A checkpoint that training continues from: one open file, for its state and its place.

    Attributes:
        checkpoint: The file. Another run may replace it; what is read stays that of this one.
        info: What it says of itself.
        record: All fields of its record.
        earlier: What the runs before left.
        has_ended: Whether a callback had ended that run.
    """

    checkpoint: OpenCheckpoint
    info: CheckpointInfo
    record: dict[str, Any]
    earlier: EarlierRun
    has_ended: bool = False

    @classmethod
    def find(cls, template: FileTemplate, storage: Storage) -> "ResumePoint | None":
        """Open the newest undamaged checkpoint with a record; warn of damaged and of stock ones.

        Raises:
            CheckpointSchemaError: If a newer version of this package wrote one of the files.
        """
        found = catalog.list_of(template, storage)
        infos = [info for info in found if info.schema is not None]
        if found and not infos:
            _warn_of_stock_files([info.path for info in found])
        while infos:
            checkpoint = catalog.open_first_valid([infos[-1]], storage)
            if checkpoint is not None:
                fields = checkpoint.record or {}
                missing = record.missing_to_continue(fields)
                if missing is None:
                    warn_of_changes(checkpoint)
                    infos[-1] = info = checkpoint.info
                    return cls(checkpoint, info, fields, EarlierRun(info, fields, infos, storage))
                checkpoint.close()
                warn(f"passed over: the record of {infos[-1].path!r} has no usable {missing!r}")
            infos.pop()
        return None

    @classmethod
    def at(cls, path: str, saved_at: str, storage: Storage) -> "ResumePoint":
        """Open the checkpoint that the first process has found, and verified.

        Raises:
            CheckpointCorruptError: If another one stands there.
        """
        checkpoint = open_checkpoint(path, storage)
        fields = checkpoint.record or {}
        if fields.get("saved_at") != saved_at:
            checkpoint.close()
            raise CheckpointCorruptError(
                f"{path!r} is not the checkpoint that the first process of this training found "
                "there: all processes need to see the same files"
            )
        checkpoint.trust()
        info = checkpoint.info
        return cls(checkpoint, info, fields, EarlierRun(info, fields, [info], storage))

    @property
    def order(self) -> dict[str, Any] | None:
        """What decides the order of the data, if the record says so."""
        order: dict[str, Any] | None = (self.record.get("states") or {}).get(data.NAME)
        return order

    @property
    def callbacks(self) -> dict[str, Any] | None:
        """The states of the other callbacks, if the record has them."""
        states: dict[str, Any] | None = (self.record.get("states") or {}).get(callbacks.NAME)
        return states

    @property
    def last_epoch(self) -> int | None:
        """Index of the epoch at whose end the file was written, `None` in the middle of one."""
        return self.record["epochs"][-1] if self.record["epochs"] and not self.info.batch else None

    def complete_history(self, logs: Mapping[str, Any]) -> None:
        """Add to the history what callbacks behind ours add to the logs of the last epoch."""
        history, count = self.record["history"], len(self.record["epochs"])
        for name, value in scalar_logs(logs).items():
            values = history.setdefault(name, [])
            if len(values) == count - 1:
                values.append(value)

    def is_finished(self, run: Run) -> bool:
        """Tell whether a callback had ended the run that wrote the file."""
        if self.callbacks is None or self.last_epoch is None or self.info.reason == "interrupt":
            return False
        return run.companions.has_ended(self.callbacks, self.last_epoch, self.info.metrics)

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
        restore_open(model, self.checkpoint)

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
        if self.order is not None:
            data.restore(self.order)
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


def do_nothing() -> None:
    """Do nothing."""


def _warn_of_stock_files(paths: list[str]) -> None:
    names = ", ".join(repr(path) for path in paths[-3:])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    load = "model.load_weights" if paths[-1].endswith(WEIGHTS_SUFFIX) else "keras.saving.load_model"
    warn(
        f"resume=True found only files without a record, such as Keras writes: {names}{more}. "
        "Training starts from the beginning and may replace them. To start from the newest, call "
        f"{load}({paths[-1]!r}) before fit()."
    )


def resume_run(run: Run, model: Any, once: Once) -> None:
    """Continue an earlier run: its state, its best value and its files.

    Of several callbacks of one `fit` the one with the newest file restores; the others count on
    from there.

    Args:
        run: The run that begins.
        model: The model in training.
        once: Says each warning once.
    """
    group = processes.of(model)
    own = _find_together(run, group)
    if own is not None and run.group.is_newest(own):
        with own.checkpoint:
            all_or_none(group, functools.partial(own.restore, model))
        run.group.resume_from(own, run)
        Messages(run.settings.verbose).resuming(own.info)
        if run.in_fit:
            own.has_ended = own.is_finished(run)
            epochs = epochs_of_fit(model) if own.has_ended else None
            start_at_epoch(model, max(own.info.epoch or 0, epochs or 0))
            if own.order is not None:
                data.restore_seed(model, own.order)
    elif run.group.point is not None:
        run.continue_from(run.group.point.record)
    if own is not None:
        own.checkpoint.close()
        own.earlier.hand_over(run, model, once)
        best = run.best
        found = best.direction, best.ranked_best, best.best_path
        best.direction, value, path = first_decides(group, lambda: found)
        best.restore(value, path)


def _find_together(run: Run, group: Processes) -> ResumePoint | None:
    """Return the checkpoint that the first process finds, opened in every process."""
    template, storage = run.settings.template, run.settings.storage
    found: list[ResumePoint | None] = [None]

    def choose() -> tuple[str, str] | None:
        found[0] = point = ResumePoint.find(template, storage)
        return None if point is None else (point.info.path, str(point.record["saved_at"]))

    chosen = first_decides(group, choose)
    if chosen is None or not group.can_agree:
        return found[0]
    return all_or_none(group, lambda: found[0] or ResumePoint.at(*chosen, storage))


def enter_first_epoch(run: Run, model: Any, once: Once) -> None:
    """Let training go on from where the group of a run resumed, if that is still to be done."""
    point = run.group.take_point()
    if point is not None:
        if point.callbacks is not None:
            logs = run.companions.restore(
                point.callbacks, once, point.last_epoch, point.info.metrics
            )
            point.complete_history(logs)
        run.group.skip_until(point.enter_epoch(model, in_fit=run.in_fit))


def end_without_training(run: Run, model: Any) -> None:
    """Say so if `fit` ends without an epoch, as the checkpoint has them all."""
    point = run.group.take_point()
    if point is not None:
        forget_start(model)
        point.restore_history(model)
        reason = "a callback ended the run there" if point.has_ended else "nothing to train"
        warn(f"{point.info.path} has {point.info.epoch} epochs already: {reason}")
