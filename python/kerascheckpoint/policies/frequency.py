"""When to save: one small policy for each form of `save_freq`. They answer; somebody else acts."""

import dataclasses
from datetime import timedelta
from typing import Any, Protocol

from ..checkpoint_info import Reason
from .arguments import as_whole

ACCEPTED = '"epoch", a whole number of batches (1 or more) or a positive datetime.timedelta'


class SavePolicy(Protocol):
    """Answers whether a save is due; `needs_batches` tells whether it must see every batch."""

    needs_batches: bool
    reason: Reason

    def start(self, step: int, now: float) -> None:
        """A run begins after `step` batches, at `now` seconds of a monotonic clock."""

    def due_at_batch(self, step: int, now: float) -> bool:
        """Tell whether to save now that `step` batches are done in all."""

    def due_at_epoch_end(self) -> bool:
        """Tell whether to save at the end of an epoch."""

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether training ends with something that is not saved yet."""

    def missed(self) -> None:
        """The last save that was due could not be written."""


@dataclasses.dataclass
class EveryEpoch:
    """Save after each epoch's validation."""

    needs_batches = False
    reason: Reason = "epoch"

    def start(self, step: int, now: float) -> None:
        """Nothing to remember."""

    def due_at_batch(self, step: int, now: float) -> bool:
        """Never."""
        return False

    def due_at_epoch_end(self) -> bool:
        """Always."""
        return True

    def due_at_train_end(self, step: int) -> bool:
        """Never: each epoch had its turn."""
        return False

    def missed(self) -> None:
        """The next epoch tries again."""


@dataclasses.dataclass
class EveryBatches:
    """Save at the first chance at or after each multiple of `count` batches of the whole run."""

    count: int
    needs_batches = True
    reason: Reason = "batch"
    _seen: int = 0
    _saved: int = 0

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

    def due_at_epoch_end(self) -> bool:
        """Never."""
        return False

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether batches were done since the last save."""
        return step > self._saved

    def missed(self) -> None:
        """What was done is not saved yet."""
        self._saved = -1


@dataclasses.dataclass
class EveryInterval:
    """Save at the first batch end after `seconds` have passed since the last save began."""

    seconds: float
    needs_batches = True
    reason: Reason = "time"
    _since: float = 0.0
    _saved: int = 0

    def start(self, step: int, now: float) -> None:
        """Begin the first interval."""
        self._since, self._saved = now, step

    def due_at_batch(self, step: int, now: float) -> bool:
        """Tell whether the interval is over, and begin the next."""
        if now - self._since < self.seconds:
            return False
        self._since, self._saved = now, step
        return True

    def due_at_epoch_end(self) -> bool:
        """Never."""
        return False

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether batches were done since the last save."""
        return step > self._saved

    def missed(self) -> None:
        """What was done is not saved yet."""
        self._saved = -1


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
