"""How often to save so that saving costs a given share of the training time.

The cost of a save is what it adds to the training: the time that training stands still for it, and
what steps take longer while its file is being written. If a save costs `c` seconds and saves begin
`t` seconds apart, they take the share `c / t` of the time; so the next one is due `c / share` after
the last one began. This is the tuning rule of CheckFreq (Mohan, Phanishayee and Chidambaram,
"CheckFreq: Frequent, Fine-Grained DNN Checkpointing", FAST 2021), which profiles the costs as
training goes on. Young (1974) and Daly (2006) instead choose the interval that minimises the
expected loss, `sqrt(2 * c * M)` for a mean time `M` between failures; nobody who trains knows `M`,
but everybody can say what saving may cost.
"""

import dataclasses
import statistics
from collections import deque
from collections.abc import Sequence

_LAST = 5  # saves whose median cost counts, so that one slow disk access does not decide


@dataclasses.dataclass
class OverheadBudget:
    """Knows what the last saves cost, and how far apart that puts them.

    Attributes:
        share: Largest share of the training time that saves may cost, above 0 and at most 1.
    """

    share: float
    _costs: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=_LAST))

    def record(self, cost: float) -> None:
        """Note what a save cost, in seconds."""
        self._costs.append(max(cost, 0.0))

    @property
    def cost(self) -> float | None:
        """Seconds that a save costs: the median of the last ones; `None` before the first."""
        return statistics.median(self._costs) if self._costs else None

    @property
    def interval(self) -> float | None:
        """Seconds from the begin of a save to that of the next; `None` before the first."""
        return None if self.cost is None else self.cost / self.share


def slowdown(during: Sequence[float], without: Sequence[float]) -> float:
    """Return the seconds that steps took longer because a file was being written.

    Args:
        during: Seconds of each step while a file was on its way.
        without: Seconds of steps without one.
    """
    if not during or not without:
        return 0.0
    longer = statistics.median(during) - statistics.median(without)
    return max(longer, 0.0) * len(during)
