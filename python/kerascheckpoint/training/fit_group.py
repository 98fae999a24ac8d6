"""The callbacks of this package that take part in one `fit`."""

import os
import weakref
from typing import Any

from ..notify import warn

# The callbacks that are in training; those of one `fit` share one `params` dict.
_training: "weakref.WeakSet[Any]" = weakref.WeakSet()


def register(callback: Any) -> None:
    """Note a callback whose training begins."""
    _training.add(callback)


def callbacks_of_same_fit(callback: Any) -> list[Any]:
    """Return the other callbacks of the same `fit` that have begun."""
    if callback.params is None:
        return []
    others = [other for other in _training if other is not callback]
    return [other for other in others if other.params is callback.params]


def warn_of_shared_path(callback: Any) -> None:
    """Warn if another callback of the same `fit` writes to the same path."""
    path = os.path.realpath(callback.filepath)
    for other in callbacks_of_same_fit(callback):
        if os.path.realpath(other.filepath) == path:
            warn(
                f"two callbacks of one fit save to one path and overwrite each other's files: "
                f"{other!r} and {callback!r}"
            )


def unregister(callback: Any) -> None:
    """Forget a callback whose training has ended."""
    _training.discard(callback)
