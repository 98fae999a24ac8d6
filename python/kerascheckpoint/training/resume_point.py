"""A checkpoint that training continues from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from .. import catalog
from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointCorruptError, CheckpointMismatchError
from ..file_kind import WEIGHTS_SUFFIX
from ..finding import FoundFile, paths_of, read_all
from ..formats import record
from ..formats.base import OpenCheckpoint, reporting
from ..formats.forms import open_checkpoint
from ..keras_seam.fit_control import epochs_of_fit, forget_start
from ..keras_seam.metrics import print_message
from ..keras_seam.past_data import begin_after, pass_over_epochs
from ..notify import warn
from ..policies.file_template import FileTemplate
from ..policies.monitor import scalar_logs
from ..restore.learning_rate import OtherRate
from ..restore.model import restore_open
from ..snapshot.compiled import compiled
from ..state.arrays import put_back
from ..state.base import Stateful, stored_state
from ..state.data import DataOrder
from ..state.metrics import EpochMetrics
from ..state.random import restore_process
from ..storage.base import Storage
from ..verify import warn_of_changes
from .earlier_run import EarlierRun
from .run import Run


@dataclasses.dataclass
class ResumePoint:
    """A checkpoint that training continues from, as one open file.

    Attributes:
        checkpoint: The open file, which stays the same if another run replaces it on disk.
        info: Its info.
        record: All fields of its record.
        earlier: What earlier runs left.
        has_ended: Whether a callback had ended that run.
    """

    checkpoint: OpenCheckpoint
    info: CheckpointInfo
    record: dict[str, Any]
    earlier: EarlierRun
    has_ended: bool = False

    @classmethod
    def find(cls, template: FileTemplate, storage: Storage) -> "ResumePoint | None":
        """Open the newest undamaged checkpoint with a record; warn of damaged and stock files.

        Raises:
            CheckpointSchemaError: If a newer version of this package wrote one of the files.
        """
        files = read_all(paths_of(template, storage), storage, refuse_newer=True)
        found = {file.info.path: file for file in files}
        infos = [file.info for file in files if file.info.schema is not None]
        if found and not infos:
            _warn_of_stock_files(list(found))
        while infos:
            checkpoint = catalog.open_first_valid([infos[-1]], storage.fetching())
            if checkpoint is not None:
                fields = checkpoint.record or {}
                missing = record.missing_to_continue(fields)
                if missing is None:
                    warn_of_changes(checkpoint)
                    infos[-1] = info = checkpoint.info
                    found[info.path] = FoundFile.of(info, fields)
                    earlier = EarlierRun(info, fields, infos, storage, found)
                    return cls(checkpoint, info, fields, earlier)
                checkpoint.close()
                warn(f"passed over: the record of {infos[-1].path!r} has no usable {missing!r}")
            infos.pop()
        return None

    @classmethod
    def at(cls, path: str, saved_at: str, storage: Storage) -> "ResumePoint":
        """Open the checkpoint that the first process has found and verified.

        Raises:
            CheckpointCorruptError: If this process finds a different one there.
        """
        checkpoint = open_checkpoint(path, storage.fetching())
        fields = checkpoint.record or {}
        if fields.get("saved_at") != saved_at:
            checkpoint.close()
            raise CheckpointCorruptError(
                f"{path!r} is not the checkpoint that the first process of this training found "
                "there: all processes need to see the same files"
            )
        checkpoint.trust()
        info = checkpoint.info
        return cls(checkpoint, info, fields, EarlierRun(info, fields, [], storage, {}))

    def state_of(self, one: Stateful) -> dict[str, Any] | None:
        """Return the state that the file holds for `one`, checked, or `None`.

        Raises:
            CheckpointError: If the state is unusable; the message names the file.
        """
        with reporting(self.info.path):
            return stored_state(one, self.record)

    @property
    def last_epoch(self) -> int | None:
        """Index of the epoch at whose end the file was written, `None` in the middle of one."""
        return self.record["epochs"][-1] if self.record["epochs"] and not self.info.batch else None

    def complete_history(self, logs: Mapping[str, Any]) -> None:
        """Add the metrics that callbacks after ours add to the logs of the last epoch."""
        history, count = self.record["history"], len(self.record["epochs"])
        for name, value in scalar_logs(logs).items():
            values = history.setdefault(name, [])
            if len(values) == count - 1:
                values.append(value)

    def is_finished(self, run: Run) -> bool:
        """Tell whether a callback had ended the run that wrote the file."""
        state = self.state_of(run.companions)
        if state is None or self.last_epoch is None or self.info.reason == "interrupt":
            return False
        return run.companions.has_ended(state, self.last_epoch, self.info.metrics)

    def restore_finished(self, run: Run) -> None:
        """Restore the other callbacks of a run that has nothing left to train."""
        state = self.state_of(run.companions)
        if state is not None and self.last_epoch is not None:
            run.companions.restore_finished(state, self.last_epoch, self.info.metrics)

    def is_newer_than(self, other: "ResumePoint") -> bool:
        """Tell whether the checkpoint is newer than another one."""
        return self.info.age_key > other.info.age_key

    def restore(self, model: Any) -> OtherRate | None:
        """Restore weights, optimizer and random state.

        Returns:
            How the learning rates differ, if only one of file and model has a schedule.

        Raises:
            CheckpointCorruptError: If its position in the epoch is impossible.
            CheckpointMismatchError: If the model or its compilation differs.
        """
        with reporting(self.info.path):
            states = put_back(self.record["states"], self.checkpoint.read_state)
        self.record = self.record | {"states": states}
        span = int(getattr(model, "steps_per_execution", 1) or 1)
        steps = self.record.get("epoch_steps")
        if steps is not None and (self.info.batch or 0) > steps:
            raise CheckpointCorruptError(
                f"{self.info.path!r} is damaged: its record has batch {self.info.batch} of an "
                f"epoch of {steps}"
            )
        if self.info.batch and self.info.batch % span and self.info.batch != steps:
            raise CheckpointMismatchError(
                f"{self.info.path!r} was saved after batch {self.info.batch} of an epoch, which "
                f"steps_per_execution={span} cannot start from: compile with a divisor of it"
            )
        if self.info.batch and self.record["compiled"] != compiled(model):
            raise CheckpointMismatchError(
                f"{self.info.path!r} was saved in the middle of an epoch, and the model is now "
                "compiled with another loss or other metrics"
            )
        for one in (EpochMetrics(model), DataOrder()):
            self.state_of(one)  # raises before anything is loaded
        return restore_open(model, self.checkpoint)

    def enter_epoch(self, model: Any, run: Run) -> None:
        """Enter the first epoch: clean up the model, and skip the batches that are done.

        Args:
            model: The model in training.
            run: The run that continues. A custom loop has to skip batches itself.
        """
        forget_start(model)
        self.restore_history(model)
        if not run.in_fit:
            return
        batch, is_past = self.info.batch or 0, False
        if (state := self.state_of(run.order)) is not None:
            is_past = run.order.begin_after(state, batch, self.info.epoch)
        if not batch:
            if state is not None:
                self._restore_process(run.order)
            return
        metrics = EpochMetrics(model)
        counted = self.state_of(metrics) or {"values": []}
        begin_after(
            model,
            batch,
            print_message,
            on_first=lambda: metrics.restore(counted),
            on_last=lambda: self._restore_process(run.order),
            is_past=is_past,
        )

    def pass_over_epochs(self, model: Any) -> None:
        """Move the data of the running `fit` past the completed epochs."""
        epochs = self.info.epoch or 0
        if epochs < (epochs_of_fit(model) or 0):
            order, steps = DataOrder.of(model), self.record.get("epoch_steps")
            state = self.state_of(order)
            has_place = False
            order.rebuild(state, self.info.batch or 0)
            if state is not None:
                order.before_passing(state)
                has_place = order.has_place(state)
            pass_over_epochs(model, epochs, steps, print_message, has_place=has_place)
            self._restore_process()

    def _restore_process(self, order: DataOrder | None = None) -> None:
        """Restore the random numbers, because drawing data again may have used some.

        Args:
            order: The data that go on with them, unless some are still to be drawn again.
        """
        restore_process(self.record["states"]["random"])
        if order is not None:
            order.go_on()

    def restore_history(self, model: Any) -> None:
        """Prepend the earlier epochs to the history that `fit` returns."""
        history = getattr(model, "history", None)
        if history is None or not isinstance(getattr(history, "history", None), dict):
            return
        history.epoch[:0] = self.record["epochs"]
        for name, values in self.record["history"].items():
            history.history[name] = [*values, *history.history.get(name, [])]


def _warn_of_stock_files(paths: list[str]) -> None:
    names = ", ".join(repr(path) for path in paths[-3:])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    load = "model.load_weights" if paths[-1].endswith(WEIGHTS_SUFFIX) else "keras.saving.load_model"
    warn(
        f"resume=True found only files without a record, such as Keras writes: {names}{more}. "
        "Training starts from the beginning and may replace them. To start from the newest, call "
        f"{load}({paths[-1]!r}) before fit()."
    )
