"""Where the warnings of this package go: to Python's `warnings`, or to the host that set a handler.

A host language (R) that runs Python inside of it has conditions of its own; it sets a handler and
turns each text into one of them.
"""

import warnings
from collections.abc import Callable

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


def warn(text: str, stacklevel: int = 3) -> None:
    """Warn with category `CheckpointWarning`, or through the handler if one is set."""
    if _handler is None:
        warnings.warn(text, CheckpointWarning, stacklevel=stacklevel)
    else:
        _handler(text)


class Once:
    """Says each warning at most once, told apart by a key."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, key: str, text: str) -> None:
        """Warn with `text`, unless this object already warned under `key`."""
        if key not in self._said:
            self._said.add(key)
            warn(text, stacklevel=4)
