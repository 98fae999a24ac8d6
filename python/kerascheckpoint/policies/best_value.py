"""The best value so far: what is durable, and what is still on its way to the disk."""

import dataclasses

from .monitor import Direction, better_of, is_improvement
from .planned_save import PlannedSave


@dataclasses.dataclass
class BestTracker:
    """Judges values against the best so far.

    The value of a save that has begun is at once the one that the next models have to beat. It
    becomes `best` only when its file is durable, and is forgotten if the file cannot be written.

    Attributes:
        direction: `"min"` or `"max"`; `None` if that is not known, then nothing is ranked.
        min_delta: Smallest change that counts.
        best: Value of the best durable file, or the threshold that it has to pass.
        best_path: The best durable file, `None` as long as there is none.
    """

    direction: Direction | None = None
    min_delta: float = 0.0
    best: float | None = None
    best_path: str | None = None
    _was_ranked: bool = False
    _pending: list[PlannedSave] = dataclasses.field(default_factory=list)

    @property
    def value_to_beat(self) -> float | None:
        """What the next value has to pass."""
        return self._pending[-1].value if self._pending else self.best

    @property
    def ranked_best(self) -> float | None:
        """The best value that a model had, and not the threshold alone."""
        return self.best if self._was_ranked else None

    @property
    def is_pending(self) -> bool:
        """Whether a better model is still on its way to the disk."""
        return bool(self._pending)

    @property
    def has_ranked(self) -> bool:
        """Whether a ranked model was saved, or is about to be."""
        return self._was_ranked or self.is_pending

    def improves(self, value: float | None) -> bool:
        """Tell whether `value` is better than everything before it."""
        if value is None or self.direction is None:
            return False
        return is_improvement(value, self.value_to_beat, self.direction, self.min_delta)

    def begin(self, save: PlannedSave) -> None:
        """Let the next models beat the value of a better model that is being saved."""
        if save.is_best:
            self._pending.append(save)

    def commit(self, save: PlannedSave) -> None:
        """Take the durable file as the best, or note that another model replaced the best one."""
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
        """Take up the best of an earlier run; a better threshold stays the value to beat."""
        if value is not None and self.direction is not None:
            self.best = better_of(self.best, value, self.direction)
            self.best_path, self._was_ranked = path, True

    def start_from(self, value: float | None) -> None:
        """Let the next best model pass this value, whatever was the best so far; `None`: any."""
        self.best = value
        if value is None:
            self.best_path, self._was_ranked = None, False

    def raise_bar(self, threshold: float | None) -> None:
        """Let the next best model pass a threshold as well as what was the best so far."""
        if not self._was_ranked:
            self.best = threshold
        elif threshold is not None and self.direction is not None:
            self.best = better_of(self.best, threshold, self.direction)
