"""The best value so far: what is durable, and what is still on its way to the disk."""

import dataclasses

from .monitor import Direction, better_of, is_improvement


@dataclasses.dataclass
class BestTracker:
    """Judges values against the best so far.

    A value that was accepted for a save is the bar for the next ones at once, but it is `best`
    only when its file is durable, and no bar any more when its file could not be written.

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
    _pending: list[float] = dataclasses.field(default_factory=list)

    @property
    def bar(self) -> float | None:
        """What the next value has to pass."""
        return self._pending[-1] if self._pending else self.best

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
        return is_improvement(value, self.bar, self.direction, self.min_delta)

    def accept(self, value: float) -> None:
        """Note that the model with this value is being saved."""
        self._pending.append(value)

    def settle(self, value: float, path: str) -> None:
        """Note that the file is durable: it is the best one now."""
        self._pending.remove(value)
        self.best, self.best_path, self._was_ranked = value, path, True

    def withdraw(self, value: float) -> None:
        """Note that the file could not be written."""
        self._pending.remove(value)

    def restore(self, value: float | None, path: str | None) -> None:
        """Take up the best of an earlier run; a better threshold stays the bar."""
        if value is not None and self.direction is not None:
            self.best = better_of(self.best, value, self.direction)
            self.best_path, self._was_ranked = path, True

    def overwritten(self, path: str) -> None:
        """Note that another model stands at `path` now."""
        if path == self.best_path:
            self.best_path = None
