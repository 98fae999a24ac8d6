"""The direction of compiled metrics, and Keras' message printing."""

from typing import Any, Literal

from .private import private_name
from .store import KerasMustHandleError


def print_message(text: str) -> None:
    """Print through Keras, so that its logging settings apply."""
    try:
        private_name("utils.io_utils", "print_msg")(text)
    except KerasMustHandleError:
        print(text)


def metric_direction(model: Any, name: str) -> Literal["min", "max"] | None:
    """Return the direction in which the compiled metric `name` improves, or `None` if unknown.

    Metrics have `_direction` from Keras 3.7 on; before that, only the name can tell.
    """
    outputs = [f"{output}_" for output in getattr(model, "output_names", None) or []]
    names = {name, *(name.removeprefix(output) for output in outputs)}
    pending = list(getattr(model, "metrics", []))
    while pending:
        metric = pending.pop()
        pending.extend(getattr(metric, "metrics", []))
        if getattr(metric, "name", None) in names:
            direction = getattr(metric, "_direction", None)
            if direction in ("up", "down"):
                return "max" if direction == "up" else "min"
    return None
