"""Turn the argument `save_freq` into a policy."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .arguments import as_whole
from .frequency import EveryBatches, EveryEpoch, EveryInterval, SavePolicy, WhenAsked
from .within_budget import WithinBudget

ACCEPTED = (
    '"epoch", a whole number of batches (1 or more), a positive datetime.timedelta, a share of the '
    'training time such as "2%" (more than 0, at most 100) or a function f(epoch, batch, logs)'
)

SaveFreq = str | int | timedelta | Callable[[int, int | None, dict[str, Any]], bool]


def from_save_freq(save_freq: Any) -> SavePolicy:
    """Return the policy that `save_freq` stands for.

    Raises:
        ValueError: If `save_freq` has none of the accepted forms.
    """
    if isinstance(save_freq, str) and save_freq == "epoch":
        return EveryEpoch()
    if isinstance(save_freq, timedelta) and save_freq > timedelta(0):
        return EveryInterval(save_freq.total_seconds())
    share = _share(save_freq)
    if share is not None:
        return WithinBudget(share)
    count = as_whole(save_freq)
    if count is not None and count >= 1:
        return EveryBatches(count)
    if callable(save_freq) and not isinstance(save_freq, type):
        return WhenAsked(save_freq)
    raise ValueError(f"Unrecognized save_freq: {save_freq!r}. Expected {ACCEPTED}.")


def _share(save_freq: Any) -> float | None:
    """Return 0.02 for `"2%"`; `None` for what is not a share."""
    if not isinstance(save_freq, str):
        return None
    percent = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*", save_freq, re.ASCII)
    share = float(percent.group(1)) / 100 if percent else 0.0
    return share if 0 < share <= 1 else None
