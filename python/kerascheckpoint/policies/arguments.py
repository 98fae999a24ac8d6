"""Check the callback's arguments; errors name the argument, the value and what is accepted."""

import math
import numbers
import signal
from collections.abc import Mapping
from typing import Any

from ..notify import warn


def flag(name: str, value: Any) -> bool:
    """Return a truth value."""
    if type(value).__name__ in ("bool", "bool_") or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{name} must be True or False. Received: {name}={value!r}.")


def as_whole(value: Any) -> int | None:
    """Return `value` as an `int` if it is a whole number of any type, else `None`."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        count: int = int(value)  # type: ignore[call-overload]
    except (OverflowError, TypeError, ValueError):  # infinite, no number, a time span of NumPy
        return None
    return count if count == value else None


def whole(name: str, value: Any, least: int) -> int:
    """Return a whole number of at least `least`."""
    count = as_whole(value)
    if count is not None and count >= least:
        return count
    raise ValueError(
        f"{name} must be a whole number of at least {least}. Received: {name}={value!r}."
    )


def verbosity(name: str, value: Any) -> int:
    """Return a whole number of at least 0; a truth value counts as 0 or 1."""
    is_flag = type(value).__name__ in ("bool", "bool_")
    return whole(name, int(value) if is_flag else value, 0)


def optional_whole(name: str, value: Any, least: int) -> int | None:
    """Return a whole number of at least `least`, or `None`."""
    return None if value is None else whole(name, value, least)


def number(name: str, value: Any) -> float:
    """Return a number, not NaN."""
    result = _as_float(value)
    if result is not None:
        return result
    raise ValueError(f"{name} must be a number. Received: {name}={value!r}.")


def not_negative(name: str, value: Any) -> float:
    """Return a finite number of at least 0."""
    result = _as_float(value)
    if result is not None and 0 <= result < math.inf:
        return result
    raise ValueError(f"{name} must be a finite number of at least 0. Received: {name}={value!r}.")


def _as_float(value: Any) -> float | None:
    """Return `value` as a `float`, `None` if it is no real number, too large or NaN."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return None if math.isnan(result) else result


def optional_number(name: str, value: Any) -> float | None:
    """Return a number, not NaN, or `None`."""
    return None if value is None else number(name, value)


def text(name: str, value: Any) -> str:
    """Return a non-empty text."""
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{name} must be a non-empty str. Received: {name}={value!r}.")


def choice(name: str, value: Any, accepted: tuple[str, ...]) -> str:
    """Return one of the accepted texts."""
    if isinstance(value, str) and value in accepted:
        return value
    listed = " or ".join(repr(item) for item in accepted)
    raise ValueError(f"{name} must be {listed}. Received: {name}={value!r}.")


def mode(value: Any) -> str:
    """Return `"auto"`, `"min"` or `"max"`; anything else becomes `"auto"`, with a warning."""
    lower = value.lower() if isinstance(value, str) else value
    if lower in ("auto", "min", "max"):
        return str(lower)
    warn(
        f"ModelCheckpoint mode '{value}' is unknown, fallback to auto mode. "
        "Accepted: 'auto', 'min' or 'max'.",
    )
    return "auto"


def function(name: str, value: Any) -> Any:
    """Return a function, or `None`."""
    if value is None or callable(value):
        return value
    raise ValueError(f"{name} must be a function or None. Received: {name}={value!r}.")


def mapping(name: str, value: Any) -> dict[str, Any] | None:
    """Return a dict with `str` keys, or `None`."""
    if value is None:
        return None
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise ValueError(f"{name} must be a dict with str keys or None. Received: {name}={value!r}.")


def signals(name: str, value: Any) -> bool | tuple[str, ...]:
    """Return a truth value, or the names of signals such as `("SIGTERM", "SIGUSR1")`."""
    names = (value,) if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names:
        wrong = [each for each in names if not _can_be_caught(each)]
        if not wrong:
            return tuple(names)
        raise ValueError(
            f"{name} must be True, False or names of signals that can be caught, as in "
            f"('SIGTERM', 'SIGUSR1'). Received: {name}={value!r}, where {wrong[0]!r} is not one."
        )
    try:
        return flag(name, value)
    except ValueError:
        raise ValueError(
            f"{name} must be True, False or names of signals, as in ('SIGTERM', 'SIGUSR1'). "
            f"Received: {name}={value!r}."
        ) from None


def _can_be_caught(name: Any) -> bool:
    known = isinstance(name, str) and name in signal.Signals.__members__
    return known and name not in ("SIGKILL", "SIGSTOP")
