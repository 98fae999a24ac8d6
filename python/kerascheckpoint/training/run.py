"""One training run: its progress, its history, its files and the runs that it continues."""

import dataclasses
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from ..policies.best_value import BestTracker
from ..policies.frequency import SavePolicy
from ..policies.monitor import as_float, scalar_logs
from ..state.data import DataOrder
from .companions import Companions
from .fit_group import FitGroup
from .progress import Progress
from .role import Role
from .run_files import RunFiles
from .script_settings import ScriptSettings
from .settings import Settings


@dataclasses.dataclass(eq=False)
class Run:
    """The callback's state of one `fit`.

    Attributes:
        settings: The callback's arguments when the run began.
        best: The best model so far; it outlives the run.
        policy: When to save.
        files: The durable files of this run and of the runs that it continues.
        group: State shared with the other checkpoint callbacks of the `fit`.
        companions: All callbacks of the `fit`.
        script: What the script has set.
        order: What decides the order of the epoch's data; the callbacks of a `fit` share it.
        progress: Epochs and batches.
        epochs: Indices of the epochs in `history`.
        history: The value of each metric in each epoch, as in `History.history`.
        lineage: Identifiers of the runs that this one continues, its own last.
        span: Batches per execution (`steps_per_execution`).
        skipped_until: Batches of the first epoch that an earlier run did and `fit` skips.
        in_fit: Whether `fit` trains the model, as opposed to a custom loop.
        is_checked: Whether the target was checked.
        has_trained: Whether its first batch has begun.
        is_interrupted: Whether a signal ended the run.
        known_role: What `role` gave for a model that is built, so that it stays as it is.
        held: States from before a validation that is running.
    """

    settings: Settings
    best: BestTracker
    policy: SavePolicy
    files: RunFiles
    group: FitGroup = dataclasses.field(default_factory=FitGroup)
    companions: Companions = dataclasses.field(default_factory=Companions)
    script: ScriptSettings = dataclasses.field(default_factory=ScriptSettings)
    order: DataOrder = dataclasses.field(default_factory=DataOrder)
    progress: Progress = dataclasses.field(default_factory=Progress)
    epochs: list[int] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    lineage: list[str] = dataclasses.field(default_factory=lambda: [uuid.uuid4().hex])
    span: int = 1
    skipped_until: int = 0
    in_fit: bool = True
    is_checked: bool = False
    has_trained: bool = False
    is_interrupted: bool = False
    known_role: Role | None = None
    held: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def begin(cls, settings: Settings, best: BestTracker, epoch_steps: int | None) -> "Run":
        """Start a run.

        Args:
            settings: The callback's arguments.
            best: The best model so far.
            epoch_steps: Batches per epoch, if Keras knows.
        """
        policy = settings.new_policy()
        policy.start(0, time.monotonic())
        files = RunFiles(settings.retention, best, settings.storage)
        run = cls(settings, best, policy, files)
        run.progress.epoch_steps = epoch_steps
        return run

    def role(self, model: Any) -> Role:
        """Return what this process does in the saves of `model`."""
        if self.known_role is not None:
            return self.known_role
        role = Role.of(model, self.settings.form)
        if getattr(model, "built", True):
            self.known_role = role
        return role

    @property
    def needs_batches(self) -> bool:
        """Whether the run has to see the end of every batch."""
        return bool(self.policy.needs_batches or self.settings.signals or not self.in_fit)

    def catch_up(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> None:
        """Count what a subclass has not reported when it saves by itself.

        Args:
            epoch: Index of the epoch.
            batch: Index of the last finished batch; `None` at the end of the epoch.
            logs: The metrics.
        """
        progress = self.progress
        if progress.epoch != epoch:
            return
        if batch is not None:
            if progress.batch <= batch:
                progress.end_batch(batch)
        elif progress.is_at_end:
            self.end_epoch(epoch, logs)

    def continue_from(self, record: Mapping[str, Any]) -> None:
        """Continue where the run that wrote `record` was."""
        steps = self.progress.epoch_steps
        self.progress = Progress.after(record["epoch"], record["batch"], record["step"])
        self.progress.epoch_steps = steps
        self.epochs = list(record["epochs"])
        self.history = {name: list(values) for name, values in record["history"].items()}
        self.add_lineage(record["runs"])
        self.skipped_until = record["batch"] if self.in_fit else 0
        self.policy.start(record["step"], time.monotonic())

    def add_lineage(self, runs: Iterable[str]) -> None:
        """Treat the files of earlier runs as this run's."""
        self.lineage = list(dict.fromkeys([*runs, *self.lineage]))

    def begin_epoch(self, epoch: int, history: Any) -> None:
        """Begin an epoch, before any of its data are drawn.

        Args:
            epoch: Its index.
            history: Keras' `History`; by now it has the values that callbacks after ours added to
                the logs of earlier epochs.
        """
        if self.in_fit and getattr(history, "epoch", None) == self.epochs:
            self.history = {
                name: [number for value in values if (number := as_float(value)) is not None]
                for name, values in history.history.items()
            }
        self.progress.begin_epoch(epoch)
        self.progress.batch = self.skipped_until  # Keras does not announce skipped batches
        if self.in_fit and (self.needs_batches or self.order.spans_epochs):
            self.order.begin_epoch(epoch)

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Note that an epoch is complete, with these logs."""
        self.progress.end_epoch(epoch)
        self.skipped_until = 0
        self.epochs.append(epoch)
        for name, value in scalar_logs(logs).items():
            self.history.setdefault(name, []).append(value)
