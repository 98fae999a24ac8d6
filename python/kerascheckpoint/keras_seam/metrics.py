"""What Keras knows of metrics, and how it prints messages."""

from typing import Any, Literal

from .private import private_name
from .store import KerasMustHandleError


def print_message(text: str) -> None:
    """Print through Keras, so that its logging settings hold."""
    try:
        private_name("utils.io_utils", "print_msg")(text)
    except KerasMustHandleError:
        print(text)


def metric_direction(model: Any, name: str) -> Literal["min", "max"] | None:
    """Return `"min"` or `"max"` if the compiled metric `name` says which is better, else `None`.

    `_direction` of a metric was seen from Keras 3.7 on; before, the name alone decides.
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
