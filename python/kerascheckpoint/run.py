"""One training run: how far it is, its history so far, and the runs that it continues."""

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from .monitor import scalar_logs
from .progress import Progress


@dataclasses.dataclass
class Run:
    """What grows while training goes on.

    Attributes:
        progress: Epochs and batches.
        epochs: Indices of the epochs in `history`.
        history: Each metric's value of each epoch, like `History.history`.
        lineage: Identifiers of the runs that this one continues, its own last.
    """

    progress: Progress = dataclasses.field(default_factory=Progress)
    epochs: list[int] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    lineage: list[str] = dataclasses.field(default_factory=lambda: [uuid.uuid4().hex])

    @classmethod
    def after(cls, record: Mapping[str, Any]) -> "Run":
        """Continue the run that wrote `record`."""
        return cls(
            progress=Progress.after(record["epoch"], record["batch"], record["step"]),
            epochs=list(record["epochs"]),
            history={name: list(values) for name, values in record["history"].items()},
            lineage=[*record["runs"], uuid.uuid4().hex],
        )

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Epoch `epoch` is complete with these logs."""
        self.progress.end_epoch(epoch)
        self.epochs.append(epoch)
        for name, value in scalar_logs(logs).items():
            self.history.setdefault(name, []).append(value)
