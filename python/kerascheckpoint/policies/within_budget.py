"""Save as often as a share of the training time allows: `save_freq="2%"`."""

import dataclasses
from collections import deque

from ..checkpoint_info import Reason
from .frequency import BetweenEpochs, Moment
from .overhead_budget import OverheadBudget, slowdown
from .planned_save import PlannedSave

_FIRST_STEPS = 8  # steps before the first save: enough to time a step without a write
_KNOWN_STEPS = 200  # last steps without a write that are remembered


@dataclasses.dataclass
class WithinBudget(BetweenEpochs):
    """Save as soon as the interval of `OverheadBudget` has passed since the last save began.

    No save is due while a file is being written. The first save is due early, because its cost has
    to be measured. The step after a save counts as one beside a write: it is slower even if the
    file is finished, because the backend takes its state up again and finds the caches cold.
    """

    share: float
    reason: Reason = dataclasses.field(default="time", init=False)
    _since: float = dataclasses.field(default=0.0, init=False)
    _mark: float | None = dataclasses.field(default=None, init=False)  # when the step began
    _beside_file: bool = dataclasses.field(default=False, init=False)  # then, was one on its way?
    _in_flight: int = dataclasses.field(default=0, init=False)
    _stall: float | None = dataclasses.field(default=None, init=False)
    _during: list[float] = dataclasses.field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._budget = OverheadBudget(self.share)
        self._without: deque[float] = deque(maxlen=_KNOWN_STEPS)

    def start(self, step: int, now: float) -> None:
        """Forget the measurements, because a new run may train another model."""
        self.__post_init__()
        self._beside_file = False
        self._since, self._saved, self._mark = now, step, None
        self._in_flight, self._stall, self._during = 0, None, []

    def due_at_batch(self, moment: Moment) -> bool:
        """Time the step and tell whether the interval is over."""
        self._measure_step(moment.now)
        if self._in_flight:
            return False
        self._close_costs()
        interval = self._budget.interval
        if interval is None:
            due = len(self._without) >= _FIRST_STEPS
        else:
            due = moment.now - self._since >= interval
        if due:
            self._since, self._saved = moment.now, moment.step
        return due

    def due_at_epoch_end(self, moment: Moment) -> bool:
        """Return False; the time until the next batch does not count as a step."""
        self._mark = None
        return False

    def begin(self, save: PlannedSave) -> None:
        """Note that a file is being written."""
        self._in_flight += 1
        self._stall = self._stall or 0.0

    def stalled(self, began: float, ended: float) -> None:
        """Count the time that training waited; it does not belong to a step."""
        if self._stall is not None:
            self._stall += ended - began
        if self._mark is not None:
            self._mark, self._beside_file = ended, True

    def commit(self, save: PlannedSave) -> None:
        """Note that the file is written."""
        self._in_flight -= 1

    def abort(self, save: PlannedSave) -> None:
        """Note that the write ended, and that the last batches are still unsaved."""
        super().abort(save)
        self._in_flight -= 1

    def report(self) -> dict[str, float] | None:
        """Return the share, and once known the cost and the interval in seconds."""
        known = {"cost": self._budget.cost, "interval": self._budget.interval}
        return {"share": self.share} | {n: value for n, value in known.items() if value is not None}

    def _measure_step(self, now: float) -> None:
        if self._mark is not None:
            (self._during if self._beside_file else self._without).append(now - self._mark)
        self._mark, self._beside_file = now, self._in_flight > 0

    def _close_costs(self) -> None:
        """Add up the cost of the last save, once."""
        if self._stall is not None:
            self._budget.record(self._stall + slowdown(self._during, self._without))
            self._stall, self._during = None, []
