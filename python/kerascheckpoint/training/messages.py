"""The messages of a callback with `verbose=1`."""

import dataclasses
from collections.abc import Mapping

from ..checkpoint_info import CheckpointInfo
from ..keras_seam.metrics import print_message
from ..policies.planned_save import PlannedSave
from ..printable import printable


@dataclasses.dataclass(frozen=True)
class Messages:
    """Prints messages through Keras; with `verbose=0`, prints nothing."""

    verbose: int

    def saving(self, epoch: int, save: PlannedSave) -> None:
        """Say that a model is being saved."""
        self._say(f"\nEpoch {epoch}: saving model to {save.path}")

    def saving_better(
        self, epoch: int, save: PlannedSave, monitor: str, before: float | None
    ) -> None:
        """Say that a model is being saved because it is the best so far."""
        self._say(
            f"\nEpoch {epoch}: {monitor} improved from {_number(before)} to "
            f"{_number(save.value)}, saving model to {save.path}"
        )

    def not_better(self, epoch: int, monitor: str, value_to_beat: float | None) -> None:
        """Say that a model is not saved because it is not the best so far."""
        self._say(f"\nEpoch {epoch}: {monitor} did not improve from {_number(value_to_beat)}")

    def measured(self, budget: Mapping[str, float] | None) -> None:
        """Say what a save costs and how often saves are made."""
        if budget is not None and "interval" in budget:
            self._say(
                f"A save costs {budget['cost']:.3g} s: one every {budget['interval']:.3g} s stays "
                f"within {100 * budget['share']:.3g}% of the training time"
            )

    def finished(self, epoch: int, save: PlannedSave) -> None:
        """Say that a file is durable."""
        self._say(f"\nEpoch {epoch}: finished saving model to {save.path}")

    def resuming(self, info: CheckpointInfo, initial_epoch: int) -> None:
        """Say that training continues from a checkpoint.

        Args:
            info: The checkpoint.
            initial_epoch: The argument of `fit`.
        """
        ignored = f"; fit's initial_epoch={initial_epoch} is ignored" if initial_epoch else ""
        self._say(
            f"\nResuming after epoch {info.epoch}, batch {info.batch}, from {info.path}{ignored}"
        )

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            lead = "\n" if text.startswith("\n") else ""
            print_message(lead + printable(text.removeprefix("\n")))


def _number(value: float | None) -> str:
    return "None" if value is None else f"{value:.5f}"
