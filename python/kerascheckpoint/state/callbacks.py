"""The state of the other callbacks of a `fit`: what they have counted and seen so far."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .packing import pack, unpack

NAME = "callbacks"
VERSION = 1

# Where Keras' own callbacks keep what they have seen. Seen in Keras 3.3 to 3.15.
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": (
        *("best", "epochs_since_last_save", "_current_epoch"),
        *("_batches_seen_since_last_saving", "_last_batch_seen"),
    ),
}
_PAIRS = (("state_dict", "load_state_dict"), ("get_state", "set_state"))
_LARGEST = 1 << 20  # bytes of the largest state of one callback that a record holds


class TooLargeError(Exception):
    """A callback's state is too large for a record."""


def capture(callbacks: Iterable[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the states of callbacks as JSON objects, and the names of those too large to store.

    Args:
        callbacks: The callbacks of a `fit`, in their order.
    """
    states, left_out = [], []
    for place, callback in enumerate(callbacks):
        values = _values_of(callback)
        if not values:
            continue
        name = type(callback).__name__
        try:
            encoded = {key: _encode(value) for key, value in values.items()}
        except TooLargeError:
            left_out.append(name)
            encoded = {k: _encode(v) for k, v in values.items() if k != "best_weights"}
        states.append({"class": name, "place": place, "state": encoded})
    return states, left_out


def restore(callbacks: Iterable[Any], states: Iterable[Mapping[str, Any]]) -> list[str]:
    """Put states back into the callbacks of the same classes, in their order.

    Returns:
        The classes of those states that no callback took.
    """
    waiting = list(callbacks)
    missing = []
    for state in states:
        callback = next((c for c in waiting if type(c).__name__ == state["class"]), None)
        if callback is None:
            missing.append(str(state["class"]))
            continue
        waiting.remove(callback)
        _put_back(callback, {key: _decode(value) for key, value in state["state"].items()})
    return missing


def keras_class(callback: Any) -> str | None:
    """Return the class of Keras whose state a callback has, if it is one that is known."""
    names = [cls for cls in type(callback).__mro__ if cls.__module__.startswith("keras.")]
    if any(cls.__module__.startswith("kerascheckpoint.") for cls in type(callback).__mro__):
        return None
    return next((cls.__name__ for cls in names if cls.__name__ in _ATTRIBUTES), None)


def _values_of(callback: Any) -> dict[str, Any] | None:
    """Return what a callback has to remember, `None` if it says nothing of that."""
    for getter, setter in _PAIRS:
        if callable(getattr(callback, getter, None)) and callable(getattr(callback, setter, None)):
            value = getattr(callback, getter)()
            return {"value": value} if value else {}
    name = keras_class(callback)
    if name is None:
        return None
    return {key: vars(callback)[key] for key in _ATTRIBUTES[name] if key in vars(callback)}


def _put_back(callback: Any, values: Mapping[str, Any]) -> None:
    for getter, setter in _PAIRS:
        if callable(getattr(callback, getter, None)) and callable(getattr(callback, setter, None)):
            getattr(callback, setter)(values["value"])
            return
    for key, value in values.items():
        setattr(callback, key, value)


def _encode(value: Any) -> Any:
    """Return a value as JSON has it: numbers, texts, arrays, and lists and dicts of them."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, list | tuple):
        if sum(getattr(item, "nbytes", 0) for item in value) > _LARGEST:
            raise TooLargeError
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {"dict": {str(key): _encode(item) for key, item in value.items()}}
    array = np.asarray(value)
    if array.nbytes > _LARGEST:
        raise TooLargeError
    return {"array": pack(array)}


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        if "float" in value:
            return float.fromhex(value["float"])
        if "array" in value:
            array = unpack(value["array"])
            return array[()] if array.shape == () else array
        return {key: _decode(item) for key, item in value["dict"].items()}
    return value


def changed_without_state(callback: Any, before: Mapping[str, Any]) -> list[str]:
    """Return the attributes that a callback has changed and that nothing saves.

    Args:
        callback: A callback of the user's.
        before: What `plain_attributes` returned when training began.
    """
    if _values_of(callback) is not None:
        return []
    now = plain_attributes(callback)
    return sorted(name for name in now if name not in before or before[name] != now[name])


def plain_attributes(callback: Any) -> dict[str, Any]:
    """Return the attributes of a callback that are plain values; none of one of Keras' or ours."""
    if type(callback).__module__.split(".")[0] in ("keras", "kerascheckpoint"):
        return {}
    own = getattr(callback, "_own_attributes", ())  # a subclass of ours changes those of our class
    plain = {}
    for name, value in vars(callback).items():
        if name in ("params", "_params", "_model") or name in own:
            continue
        with contextlib.suppress(Exception):  # whatever an object of the user's raises
            if isinstance(value, bool | int | float | str | list | dict | tuple):
                plain[name] = repr(value)
    return plain
