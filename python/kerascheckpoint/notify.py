"""Send warnings to Python's `warnings`, or to the handler of a host language.

R, which runs Python inside its own process, sets a handler that turns each text into an R warning.
"""

import sys
import warnings
from collections.abc import Callable
from types import FrameType

from .errors import CheckpointWarning
from .printable import printable

_handler: Callable[[str], object] | None = None


def set_warning_handler(handler: Callable[[str], object] | None) -> None:
    """Send the text of every later warning to `handler` instead of `warnings.warn`.

    Args:
        handler: A function of one string, called on the thread that runs training; `None` restores
            Python's warnings.
    """
    global _handler
    _handler = handler


def warn(text: str) -> None:
    """Warn with category `CheckpointWarning`, or through the handler if one is set.

    The warning points to the line of user code that led here, not into this package or Keras. Names
    in it that come from files may hold what a terminal obeys; that is escaped.
    """
    text = printable(text)
    if _handler is None:
        warnings.warn(text, CheckpointWarning, stacklevel=_levels_to_caller())
    else:
        _handler(text)


def _levels_to_caller() -> int:
    """Return the `stacklevel`, as seen from `warn`, of the first frame of user code."""
    level, frame = 1, sys._getframe(1)
    while _is_inside(frame) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def _is_inside(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in ("keras", __name__.partition(".")[0])


class Once:
    """Gives each warning at most once; a key identifies it."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, text: str) -> None:
        """Warn with `text`, unless this object already warned under `key`."""
        if key not in self._said:
            self._said.add(key)
            warn(text)
