"""The state of the other callbacks of a `fit`, such as counters and best values."""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ..keras_seam.monitor_callbacks import direction_of, settle_direction
from . import csv_log
from .encoding import NotSavableError, decode, encode

# The attributes in which Keras' own callbacks keep their state. Seen in Keras 3.3 to 3.15.
_SAVED = ("_batches_seen_since_last_saving", "_last_batch_seen", "_current_epoch")
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "BackupAndRestore": _SAVED,
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ModelCheckpoint": ("best", "epochs_since_last_save", *_SAVED),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
}
_LOG = "CSVLogger"
_DIRECTION = "direction"  # which values are better: no attribute, but needed before training
_PAIRS = (("state_dict", "load_state_dict"), ("get_state", "set_state"))
_TRANSIENT = ("params", "_params", "_model")


@dataclasses.dataclass(frozen=True)
class Captured:
    """The states of callbacks, as JSON objects with arrays for `arrays.take_out`.

    Attributes:
        states: For each callback that has state or is Keras' own: its class, its position in the
            list, and its state.
        refused: For each callback whose own state cannot be stored: its class, and why.
    """

    states: list[dict[str, Any]]
    refused: dict[str, str]


def capture(callbacks: Iterable[Any]) -> Captured:
    """Return the states of callbacks.

    Args:
        callbacks: The callbacks of a `fit`, in order.
    """
    captured = Captured([], {})
    for place, callback in enumerate(callbacks):
        if not has_state(callback) and keras_class(callback) is None:
            continue
        name = type(callback).__name__
        try:
            state = _state_of(callback)
        except NotSavableError as error:
            captured.refused[name] = str(error)
            continue
        captured.states.append({"class": name, "place": place, "state": state})
    return captured


def pairs(
    callbacks: Iterable[Any], states: Iterable[Mapping[str, Any]]
) -> tuple[list[tuple[Any, Mapping[str, Any]]], list[str]]:
    """Match states to callbacks of the same classes, in order.

    Returns:
        Each matched callback with its state, and the classes of the states left over.
    """
    waiting = list(callbacks)
    found, missing = [], []
    for state in states:
        callback = next((c for c in waiting if type(c).__name__ == state["class"]), None)
        if callback is None:
            missing += [str(state["class"])] if state["state"] else []
        else:
            waiting.remove(callback)
            found.append((callback, state))
    return found, missing


def check(states: Iterable[Mapping[str, Any]]) -> None:
    """Raise an error if these are not states that `capture` returned."""
    for state in states:
        if not isinstance(state["class"], str) or not isinstance(state["place"], int):
            raise TypeError("a callback's state lacks its class or place")
        for value in state["state"].values():
            decode(value)


def put_back(callback: Any, state: Mapping[str, Any], epoch: int) -> None:
    """Restore the state of a callback.

    Args:
        callback: The callback.
        state: One of the states that `capture` returned.
        epoch: Index of the first epoch whose end the callback will see.
    """
    values = {key: decode(value) for key, value in state["state"].items()}
    pair = _pair(callback)
    if pair is not None:
        if "value" in values:
            getattr(callback, pair[1])(values["value"])
    elif keras_class(callback) == _LOG:
        csv_log.restore(callback, values, epoch)
    else:
        settle_direction(callback, values.pop(_DIRECTION, None))
        for key, value in values.items():
            setattr(callback, key, value)


def keras_class(callback: Any) -> str | None:
    """Return the name of the Keras class that a callback is, or derives from; else `None`."""
    if is_ours(callback):
        return None
    classes = type(callback).__mro__
    names = [cls.__name__ for cls in classes if cls.__module__.startswith("keras.")]
    known = next((name for name in names if name in _ATTRIBUTES or name == _LOG), None)
    is_stock = type(callback).__module__.startswith("keras.") and names[0] != "LambdaCallback"
    return known or (names[0] if is_stock else None)


def is_ours(callback: Any) -> bool:
    """Tell whether a callback is of a class of this package or a subclass of one."""
    return any(cls.__module__.startswith("kerascheckpoint.") for cls in type(callback).__mro__)


def has_state(callback: Any) -> bool:
    """Tell whether a checkpoint includes the state of a callback."""
    name = keras_class(callback)
    return _pair(callback) is not None or name in _ATTRIBUTES or name == _LOG


def _pair(callback: Any) -> tuple[str, str] | None:
    """Return the names of a callback's methods that return and restore its state."""
    for pair in _PAIRS:
        if all(callable(getattr(callback, name, None)) for name in pair):
            return pair
    return None


def _state_of(callback: Any) -> dict[str, Any]:
    pair = _pair(callback)
    if pair is not None:
        value = getattr(callback, pair[0])()
        is_empty = value is None or (isinstance(value, Mapping | list | tuple) and not value)
        return {} if is_empty else {"value": encode(value)}
    name = keras_class(callback)
    if name == _LOG:
        return {key: encode(value) for key, value in csv_log.capture(callback).items()}
    attributes = vars(callback)
    kept = [key for key in _ATTRIBUTES.get(name or "", ()) if key in attributes]
    # Keras never changes these arrays, so they need no copies.
    state = {key: encode(attributes[key], copy=False) for key in kept}
    direction = direction_of(callback) if "best" in state else None
    return state if direction is None else state | {_DIRECTION: direction}


def changed_without_state(callback: Any, before: Mapping[str, Any]) -> list[str]:
    """Return the names of attributes that a callback has changed and that no checkpoint saves.

    Args:
        callback: A user's callback.
        before: What `plain_attributes` returned when training began.
    """
    if has_state(callback):
        return []
    now = plain_attributes(callback)
    return sorted(name for name in now if name not in before or before[name] != now[name])


def plain_attributes(callback: Any) -> dict[str, Any]:
    """Return the plain attributes of a user's callback; of Keras' and ours, none."""
    if type(callback).__module__.split(".")[0] in ("keras", "kerascheckpoint"):
        return {}
    own = getattr(callback, "_own_attributes", ())  # changed by our class, even in a subclass
    plain = {}
    for name, value in vars(callback).items():
        if name in _TRANSIENT or name in own:
            continue
        with contextlib.suppress(Exception):  # the user's own code may raise anything
            if isinstance(value, bool | int | float | str | list | dict | tuple):
                plain[name] = repr(value)
    return plain
