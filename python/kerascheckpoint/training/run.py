"""One training run: how far it is, its history, its files, and the runs that it continues."""

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from ..policies.monitor import scalar_logs
from .progress import Progress
from .run_files import RunFiles


@dataclasses.dataclass
class Run:
    """What one `fit` is to the callback, from its begin to its end.

    Attributes:
        files: The durable files, of this run and of those it continues.
        progress: Epochs and batches.
        epochs: Indices of the epochs in `history`.
        history: Each metric's value of each epoch, like `History.history`.
        lineage: Identifiers of the runs that this one continues, its own last.
        span: Batches of one execution (`steps_per_execution`).
        skipped_until: Batches of the first epoch that the run before has done and `fit` skips.
        in_fit: Whether `fit` trains the model, and not a loop of the user's own.
        is_checked: Whether the target was checked.
        is_interrupted: Whether a signal has ended it.
        writes: Whether this process is the one that writes; `None` if nobody has asked yet.
    """

    files: RunFiles
    progress: Progress = dataclasses.field(default_factory=Progress)
    epochs: list[int] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    lineage: list[str] = dataclasses.field(default_factory=lambda: [uuid.uuid4().hex])
    span: int = 1
    skipped_until: int = 0
    in_fit: bool = True
    is_checked: bool = False
    is_interrupted: bool = False
    writes: bool | None = None

    def continue_from(self, record: Mapping[str, Any]) -> None:
        """Go on where the run that wrote `record` was."""
        steps = self.progress.epoch_steps
        self.progress = Progress.after(record["epoch"], record["batch"], record["step"])
        self.progress.epoch_steps = steps
        self.epochs = list(record["epochs"])
        self.history = {name: list(values) for name, values in record["history"].items()}
        self.lineage = [*record["runs"], *self.lineage]
        self.skipped_until = record["batch"] if self.in_fit else 0

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Epoch `epoch` is complete with these logs."""
        self.progress.end_epoch(epoch)
        self.skipped_until = 0
        self.epochs.append(epoch)
        for name, value in scalar_logs(logs).items():
            self.history.setdefault(name, []).append(value)
