"""The best value so far, of durable files and of saves that are still being written."""

import dataclasses

from .monitor import Direction, better_of, is_improvement
from .planned_save import PlannedSave


@dataclasses.dataclass
class BestTracker:
    """Compares values with the best one so far.

    As soon as a save begins, later models have to beat its value. The value becomes `best` once the
    file is durable, and is forgotten if the file cannot be written.

    Attributes:
        direction: `"min"` or `"max"`; `None` if unknown, in which case nothing is ranked.
        min_delta: Smallest change that counts as an improvement.
        best: Value of the best durable file, or the initial threshold.
        best_path: The best durable file, `None` before the first.
        was_set: Whether the user has set `best` since the last run began.
    """

    direction: Direction | None = None
    min_delta: float = 0.0
    best: float | None = None
    best_path: str | None = None
    was_set: bool = False
    _was_ranked: bool = False
    _pending: list[PlannedSave] = dataclasses.field(default_factory=list)

    @property
    def value_to_beat(self) -> float | None:
        """The value that the next model has to beat."""
        return self._pending[-1].value if self._pending else self.best

    @property
    def ranked_best(self) -> float | None:
        """The best value of a saved model; `None` where `best` is only a threshold."""
        return self.best if self._was_ranked else None

    @property
    def is_pending(self) -> bool:
        """Whether a better model is still being written."""
        return bool(self._pending)

    @property
    def has_ranked(self) -> bool:
        """Whether a ranked model was saved or is being written."""
        return self._was_ranked or self.is_pending

    def improves(self, value: float | None) -> bool:
        """Tell whether `value` is better than everything before it."""
        if value is None or self.direction is None:
            return False
        return is_improvement(value, self.value_to_beat, self.direction, self.min_delta)

    def begin(self, save: PlannedSave) -> None:
        """Make the value of a better model the one to beat while it is being written."""
        if save.is_best:
            self._pending.append(save)

    def commit(self, save: PlannedSave) -> None:
        """Take a durable file as the best one, or note that it replaced the best one."""
        if save.is_best:
            self._pending.remove(save)
            self.best, self.best_path, self._was_ranked = save.value, save.path, True
        elif save.path == self.best_path:
            self.best_path = None

    def abort(self, save: PlannedSave) -> None:
        """Forget the value of a file that could not be written."""
        if save.is_best:
            self._pending.remove(save)

    def restore(self, value: float | None, path: str | None) -> None:
        """Take over the best of an earlier run; a better threshold stays the value to beat."""
        if value is not None and self.direction is not None:
            self.best = better_of(self.best, value, self.direction)
            self.best_path, self._was_ranked = path, True

    def start_from(self, value: float | None) -> None:
        """Make `value` the one to beat, whatever was the best so far; `None` accepts any model."""
        self.best, self.was_set = value, True
        if value is None:
            self.best_path, self._was_ranked = None, False

    def require(self, threshold: float | None) -> None:
        """Make the next best model beat `threshold` as well as the best so far."""
        if not self._was_ranked:
            self.best = threshold
        elif threshold is not None and self.direction is not None:
            self.best = better_of(self.best, threshold, self.direction)
