"""When to save: one small policy for each form of `save_freq`. They answer; somebody else acts."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ..checkpoint_info import Reason
from .planned_save import PlannedSave


@dataclasses.dataclass(frozen=True)
class Moment:
    """The end of a batch or of an epoch.

    Attributes:
        step: Batches done in all.
        now: Seconds of a monotonic clock.
        epoch: Index of the epoch, from 0.
        batch: Index of the batch in its epoch, from 0; `None` at the end of an epoch.
        logs: The metrics.
    """

    step: int
    now: float
    epoch: int = 0
    batch: int | None = None
    logs: Mapping[str, Any] = dataclasses.field(default_factory=dict)


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

    def due_at_batch(self, moment: Moment) -> bool:
        """Tell whether to save at the end of a batch."""
        return False

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Tell whether to save at the end of an epoch."""
        return False

    def due_at_train_end(self, step: int) -> bool:
        """Tell whether training ends with something that is not saved yet."""
        return False

    @property
    def reason_at_batch(self) -> Reason:
        """What a checkpoint at a batch's end says made the callback save."""
        return "batch" if self.reason == "epoch" else self.reason

    def begin(self, save: PlannedSave) -> None:
        """A save has begun."""

    def stalled(self, began: float, ended: float) -> None:
        """Training stood still for a save, from one time of the monotonic clock to another."""

    def commit(self, save: PlannedSave) -> None:
        """The file of a save is durable."""

    def abort(self, save: PlannedSave) -> None:
        """The file of a save could not be written."""

    def report(self) -> dict[str, float] | None:
        """Return what was measured, for the record and the messages; `None` if nothing was."""
        return None


@dataclasses.dataclass
class EveryEpoch(SavePolicy):
    """Save after each epoch's validation."""

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Always."""
        return True


@dataclasses.dataclass
class BetweenEpochs(SavePolicy):
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
class EveryBatches(BetweenEpochs):
    """Save at the first chance at or after each multiple of `count` batches of the whole run."""

    count: int
    reason: Reason = dataclasses.field(default="batch", init=False)
    _seen: int = dataclasses.field(default=0, init=False)

    def start(self, step: int, now: float) -> None:
        """Count on from `step`."""
        self._seen = self._saved = step

    def due_at_batch(self, moment: Moment) -> bool:
        """Tell whether a multiple was passed since the last call."""
        due = moment.step // self.count > self._seen // self.count
        self._seen = moment.step
        if due:
            self._saved = moment.step
        return due


@dataclasses.dataclass
class EveryInterval(BetweenEpochs):
    """Save at the first batch end after `seconds` have passed since the last save began."""

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
    """Save whenever a function of the user's says so, at the end of a batch or of an epoch."""

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
