"""When to save: one policy for each form of `save_freq`. A policy answers; `SaveStep` acts."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..checkpoint_info import Reason
from .planned_save import PlannedSave


@dataclasses.dataclass(frozen=True)
class Moment:
    """The end of a batch or of an epoch.

    Attributes:
        step: Batches done in the whole run.
        now: Time on a monotonic clock, in seconds.
        epoch: Index of the epoch, from 0.
        batch: Index of the batch in its epoch, from 0; `None` at the end of the epoch.
        logs: The metrics.
    """

    step: int
    now: float
    epoch: int = 0
    batch: int | None = None
    logs: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class SavePolicy:
    """Base class: answers whether a save is due, here never.

    Attributes:
        needs_batches: Whether the policy has to see the end of every batch.
        counts_batches: Whether nothing but the number of batches decides.
        reason: The reason that a checkpoint gives for its save.
    """

    needs_batches = False
    counts_batches = False
    reason: Reason = dataclasses.field(default="epoch", init=False)

    def start(self, step: int, now: float) -> None:
        """Begin a run after `step` batches, at `now` seconds on a monotonic clock."""

    def due_at_batch(self, moment: Moment) -> bool:
        """Tell whether to save at the end of a batch."""
        return False

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Tell whether to save at the end of an epoch."""
        return False

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether something is still unsaved when training ends."""
        return False

    @property
    def reason_at_batch(self) -> Reason:
        """The reason that a checkpoint at a batch's end gives for its save."""
        return "batch" if self.reason == "epoch" else self.reason

    def begin(self, save: PlannedSave) -> None:
        """Note that a save has begun."""

    def stalled(self, began: float, ended: float) -> None:
        """Note that training waited for a save, from one time on the monotonic clock to another."""

    def commit(self, save: PlannedSave) -> None:
        """Note that the file of a save is durable."""

    def abort(self, save: PlannedSave) -> None:
        """Note that the file of a save could not be written."""

    def report(self) -> dict[str, float] | None:
        """Return what was measured, for the record and the messages; `None` if nothing."""
        return None


@dataclasses.dataclass
class EveryEpoch(SavePolicy):
    """Save after each epoch's validation."""

    counts_batches = True

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Return True."""
        return True


@dataclasses.dataclass
class BetweenEpochs(SavePolicy):
    """Save at ends of batches, and whatever is still unsaved when training ends."""

    needs_batches = True
    _saved: int = dataclasses.field(default=0, init=False)

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether batches were done since the last save."""
        return step > self._saved

    def abort(self, save: PlannedSave) -> None:
        """Remember that the last batches are still unsaved."""
        self._saved = -1


@dataclasses.dataclass
class EveryBatches(BetweenEpochs):
    """Save at each multiple of `count` batches of the whole run, or at the next batch end shown."""

    counts_batches = True

    count: int
    reason: Reason = dataclasses.field(default="batch", init=False)
    _seen: int = dataclasses.field(default=0, init=False)

    def start(self, step: int, now: float) -> None:
        """Count on from `step`."""
        self._seen = self._saved = step

    def due_at_batch(self, moment: Moment) -> bool:
        """Tell whether a multiple was reached since the last call."""
        due = moment.step // self.count > self._seen // self.count
        self._seen = moment.step
        if due:
            self._saved = moment.step
        return due


@dataclasses.dataclass
class EveryInterval(BetweenEpochs):
    """Save at the first batch end `seconds` or more after the last save began."""

    seconds: float
    reason: Reason = dataclasses.field(default="time", init=False)
    _since: float = dataclasses.field(default=0.0, init=False)

    def start(self, step: int, now: float) -> None:
        """Begin the first interval."""
        self._since, self._saved = now, step

    def due_at_batch(self, moment: Moment) -> bool:
        """Tell whether the interval is over, and begin the next."""
        if moment.now - self._since < self.seconds:
            return False
        self._since, self._saved = moment.now, moment.step
        return True


@dataclasses.dataclass
class WhenAsked(SavePolicy):
    """Save whenever the user's function says so, at the end of a batch or of an epoch."""

    function: Callable[[int, int | None, Mapping[str, Any]], bool]
    needs_batches = True
    reason: Reason = dataclasses.field(default="batch", init=False)

    def due_at_batch(self, moment: Moment) -> bool:
        """Ask the function."""
        return self._ask(moment)

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Ask the function, with `None` for the batch."""
        return self._ask(moment)

    def _ask(self, moment: Moment) -> bool:
        answer = self.function(moment.epoch, moment.batch, dict(moment.logs))
        if type(answer).__name__ in ("bool", "bool_"):
            return bool(answer)
        raise TypeError(
            "the function given as save_freq must return True or False. "
            f"It returned {answer!r} for epoch {moment.epoch}, batch {moment.batch}."
        )
