"""When to save: one small policy for each form of `save_freq`. They answer; somebody else acts."""

import dataclasses
from datetime import timedelta
from typing import Any

from ..checkpoint_info import Reason
from .arguments import as_whole
from .planned_save import PlannedSave

ACCEPTED = '"epoch", a whole number of batches (1 or more) or a positive datetime.timedelta'


@dataclasses.dataclass
class SavePolicy:
    """Answers whether a save is due; this one never finds that it is.

    Attributes:
        needs_batches: Whether the policy must see the end of every batch.
        reason: What a checkpoint says made the callback save.
    """

    needs_batches = False
    reason: Reason = dataclasses.field(default="epoch", init=False)

    def start(self, step: int, now: float) -> None:
        """A run begins after `step` batches, at `now` seconds of a monotonic clock."""

    def due_at_batch(self, step: int, now: float) -> bool:
        """Tell whether to save now that `step` batches are done in all."""
        return False

    def due_at_epoch_end(self) -> bool:
        """Tell whether to save at the end of an epoch."""
        return False

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether training ends with something that is not saved yet."""
        return False

    def begin(self, save: PlannedSave) -> None:
        """A save has begun."""

    def commit(self, save: PlannedSave) -> None:
        """The file of a save is durable."""

    def abort(self, save: PlannedSave) -> None:
        """The file of a save could not be written."""


@dataclasses.dataclass
class EveryEpoch(SavePolicy):
    """Save after each epoch's validation."""

    def due_at_epoch_end(self) -> bool:
        """Always."""
        return True


@dataclasses.dataclass
class _BetweenEpochs(SavePolicy):
    """Save at the ends of batches, and at the end of training what is not saved by then."""

    needs_batches = True
    _saved: int = dataclasses.field(default=0, init=False)

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether batches were done since the last save."""
        return step > self._saved

    def abort(self, save: PlannedSave) -> None:
        """What was done is not saved yet."""
        self._saved = -1


@dataclasses.dataclass
class EveryBatches(_BetweenEpochs):
    """Save at the first chance at or after each multiple of `count` batches of the whole run."""

    count: int
    reason: Reason = dataclasses.field(default="batch", init=False)
    _seen: int = dataclasses.field(default=0, init=False)

    def start(self, step: int, now: float) -> None:
        """Count on from `step`."""
        self._seen = self._saved = step

    def due_at_batch(self, step: int, now: float) -> bool:
        """Tell whether a multiple was passed since the last call."""
        due = step // self.count > self._seen // self.count
        self._seen = step
        if due:
            self._saved = step
        return due


@dataclasses.dataclass
class EveryInterval(_BetweenEpochs):
    """Save at the first batch end after `seconds` have passed since the last save began."""

    seconds: float
    reason: Reason = dataclasses.field(default="time", init=False)
    _since: float = dataclasses.field(default=0.0, init=False)

    def start(self, step: int, now: float) -> None:
        """Begin the first interval."""
        self._since, self._saved = now, step

    def due_at_batch(self, step: int, now: float) -> bool:
        """Tell whether the interval is over, and begin the next."""
        if now - self._since < self.seconds:
            return False
        self._since, self._saved = now, step
        return True


def from_save_freq(save_freq: Any) -> SavePolicy:
    """Return the policy that `save_freq` asks for.

    Raises:
        ValueError: If `save_freq` is none of the accepted forms.
    """
    if isinstance(save_freq, str) and save_freq == "epoch":
        return EveryEpoch()
    if isinstance(save_freq, timedelta) and save_freq > timedelta(0):
        return EveryInterval(save_freq.total_seconds())
    count = as_whole(save_freq)
    if count is not None and count >= 1:
        return EveryBatches(count)
    raise ValueError(f"Unrecognized save_freq: {save_freq!r}. Expected {ACCEPTED}.")
