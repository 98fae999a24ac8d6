"""How often to save so that saving costs a given share of the training time.

A save costs the time that training waits for it, plus the time by which it slows down the steps
while the file is written. If a save costs `c` seconds and saves begin `t` seconds apart, their
share of the time is `c / t`. So the next save is due `c / share` seconds after the last one began.
CheckFreq tunes the interval by the same rule from costs measured during training (Mohan,
Phanishayee and Chidambaram, "CheckFreq: Frequent, Fine-Grained DNN Checkpointing", FAST 2021).
Young (1974) and Daly (2006) minimise the expected loss instead, with the interval `sqrt(2 * c * M)`
for a mean time `M` between failures. Users rarely know `M`, but they can say what saving may cost.
"""

import dataclasses
import statistics
from collections import deque
from collections.abc import Sequence

_LAST = 5  # use the median cost of this many saves, so that one slow disk access does not decide


@dataclasses.dataclass
class OverheadBudget:
    """Turns the cost of the last saves into the time between saves.

    Attributes:
        share: Largest share of the training time that saves may cost, above 0 and at most 1.
    """

    share: float
    _costs: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=_LAST))

    def record(self, cost: float) -> None:
        """Note the cost of a save in seconds."""
        self._costs.append(max(cost, 0.0))

    @property
    def cost(self) -> float | None:
        """Median cost of the last saves in seconds; `None` before the first."""
        return statistics.median(self._costs) if self._costs else None

    @property
    def interval(self) -> float | None:
        """Seconds between the beginnings of two saves; `None` before the first save."""
        return None if self.cost is None else self.cost / self.share


def slowdown(during: Sequence[float], without: Sequence[float]) -> float:
    """Return the extra seconds that steps took because a file was being written.

    Args:
        during: Duration of each step during the write, in seconds.
        without: Durations of steps without a write.
    """
    if not during or not without:
        return 0.0
    longer = statistics.median(during) - statistics.median(without)
    return max(longer, 0.0) * len(during)
