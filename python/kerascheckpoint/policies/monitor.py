"""Read the monitored metric, find its direction, and compare values."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar

Direction = Literal["min", "max"]

_Item = TypeVar("_Item")

# Metrics that are better when higher, without "val_" and an output's prefix. The first two and
# "fmeasure" are Keras' documented rule; the others are common names of scores.
_SCORES = frozenset(
    [
        *("acc", "accuracy", "auc", "auroc", "precision", "recall", "sensitivity", "specificity"),
        *("f1", "f1score", "f1_score", "fbeta", "fbeta_score", "score", "dice", "dice_coef"),
        *("iou", "io_u", "mean_iou", "jaccard", "explained_variance"),
        *("kappa", "mcc", "r2", "r2_score", "map", "ndcg", "mrr", "bleu", "psnr", "ssim"),
        *("cosine_similarity",),
    ]
)

# Keras computes metrics in float32: their difference is only known to this relative precision.
_FLOAT32_ROUNDING = 2.0**-23


def direction_of_mode(mode: str | None) -> Direction | None:
    """Return the mode if it is `"min"` or `"max"`, else `None`."""
    return "min" if mode == "min" else "max" if mode == "max" else None


def direction_of_name(name: str) -> Direction | None:
    """Return the direction that a metric's name implies, `None` if it implies none.

    The `val_` prefix, an output's prefix and the `_1`, `_2` of repeated names do not count. For
    `loss` and `*_loss`, lower is better; for `acc`, `accuracy`, `fmeasure*` and common scores,
    higher is better.
    """
    bare = re.sub(r"_\d+$", "", name.removeprefix("val_").lower())
    words = bare.split("_")
    endings = ["_".join(words[start:]) for start in range(len(words))]
    if endings[-1] == "loss":
        return "min"
    if any(ending in _SCORES or ending.startswith("fmeasure") for ending in endings):
        return "max"
    return None


@dataclasses.dataclass(frozen=True)
class MonitoredValue:
    """The monitored metric as found in the logs: a number, or why there is none."""

    value: float | None
    problem: Literal["absent", "not scalar", "not finite"] | None = None


def read(logs: Mapping[str, Any], name: str) -> MonitoredValue:
    """Read a metric from `logs`: a number, a NumPy scalar, a tensor or array of one element.

    NaN and infinity are returned with the problem `"not finite"`.
    """
    if name not in logs or logs[name] is None:
        return MonitoredValue(None, "absent")
    value = as_float(logs[name])
    if value is None:
        return MonitoredValue(None, "not scalar")
    return MonitoredValue(value, None if math.isfinite(value) else "not finite")


def as_number(value: Any) -> float | int | None:
    """Return the one number that `value` holds, else `None`; an `int` stays an `int`.

    Args:
        value: A number, a NumPy scalar, or an array, tensor, list or tuple of one element.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        return as_number(value[0])
    with contextlib.suppress(AttributeError, TypeError, ValueError, RuntimeError):
        if not hasattr(value, "item") and hasattr(value, "numpy"):  # a tensor of TensorFlow
            value = value.numpy()
        number = value.item() if hasattr(value, "item") else value
        return number if isinstance(number, int) else float(number)
    return None


def as_float(value: Any) -> float | None:
    """Return the number that `value` holds as a float, or `None`: see `as_number`."""
    number = as_number(value)
    return None if number is None else float(number)


def scalar_logs(logs: Mapping[str, Any], but: Collection[str] = ()) -> dict[str, float]:
    """Return the entries of `logs` that hold one number, as floats."""
    numbers = {name: as_float(value) for name, value in logs.items() if name not in but}
    return {name: number for name, number in numbers.items() if number is not None}


def is_improvement(
    value: float, best: float | None, direction: Direction, min_delta: float = 0.0
) -> bool:
    """Tell whether `value` is better than `best` by at least `min_delta`.

    Args:
        value: The new value; NaN and infinity never improve.
        best: The value to beat, or `None` if there is none yet.
        direction: `"min"` if lower is better, `"max"` if higher is.
        min_delta: Smallest change that counts, not negative.
    """
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    change = best - value if direction == "min" else value - best
    rounding = _FLOAT32_ROUNDING * max(abs(value), abs(best)) if min_delta else 0.0
    return change > 0 and change + rounding >= min_delta


def ranked(
    items: Iterable[_Item], value_of: Callable[[_Item], float | None], direction: Direction
) -> list[_Item]:
    """Return the items with a finite value, best first; of equals the earliest."""
    valued = [(value, item) for item in items if (value := value_of(item)) is not None]
    finite = [(value, item) for value, item in valued if math.isfinite(value)]
    sign = -1 if direction == "max" else 1
    return [item for _, item in sorted(finite, key=lambda pair: sign * pair[0])]


def better_of(first: float | None, second: float | None, direction: Direction) -> float | None:
    """Return the better of two values; either may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return min(first, second) if direction == "min" else max(first, second)
