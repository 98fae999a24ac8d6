"""Where the warnings of this package go: to Python's `warnings`, or to the host that set a handler.

A host language (R) that runs Python inside of it has conditions of its own; it sets a handler and
turns each text into one of them.
"""

import sys
import warnings
from collections.abc import Callable
from types import FrameType

from .errors import CheckpointWarning

_handler: Callable[[str], object] | None = None


def set_warning_handler(handler: Callable[[str], object] | None) -> None:
    """Send the text of every later warning to `handler` instead of `warnings.warn`.

    Args:
        handler: A function of one string, called on the thread that runs training; `None` goes
            back to Python's warnings.
    """
    global _handler
    _handler = handler


def warn(text: str) -> None:
    """Warn with category `CheckpointWarning`, or through the handler if one is set.

    The warning points to the line of the user's code that led here, past this package and Keras.
    """
    if _handler is None:
        warnings.warn(text, CheckpointWarning, stacklevel=_levels_to_caller())
    else:
        _handler(text)


def _levels_to_caller() -> int:
    """Return the `stacklevel`, seen from `warn`, of the first frame outside of our code."""
    level, frame = 1, sys._getframe(1)
    while _is_inside(frame) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def _is_inside(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("keras", __name__.partition(".")[0])


class Once:
    """Says each warning at most once, told apart by a key."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, text: str) -> None:
        """Warn with `text`, unless this object already warned under `key`."""
        if key not in self._said:
            self._said.add(key)
            warn(text)
