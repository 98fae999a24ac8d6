"""Turn SIGINT and SIGTERM into a wish to stop, for as long as a `fit` runs."""

import contextlib
import ctypes
import os
import signal
import threading
from types import FrameType
from typing import Any

from .keras_compat import is_fitting
from .notify import warn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SIGACTION_SIZE = 512  # bytes, more than any system's struct sigaction takes

# The watches of all callbacks in training share one handler, so that each can end in any order.
_watches: "list[InterruptWatch]" = []
_earlier: dict[int, Any] = {}


class InterruptWatch:
    """Notes the first signal; a second one, or one after the `fit`, goes where it went before.

    Attributes:
        requested: Whether a signal has asked training to stop.
        model: The model in training, `None` when there is none.
    """

    def __init__(self) -> None:
        self.requested = False
        self.model: Any = None
        self._in_fit = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "InterruptWatch":
        return InterruptWatch()

    def __reduce__(self) -> tuple[type["InterruptWatch"], tuple[()]]:
        return InterruptWatch, ()

    def begin(self, model: Any, *, in_fit: bool = True) -> None:
        """Watch for signals; only the main thread can, elsewhere a warning says so.

        Args:
            model: The model in training.
            in_fit: Whether `fit` trains it; then the watch ends with it even if it raises.
        """
        self.end()
        self.requested = False
        if threading.current_thread() is not threading.main_thread():
            warn(
                "save_on_interrupt=True has no effect here: signals reach the main thread only, "
                "and this training runs on another"
            )
            return
        self.model = model
        self._in_fit = in_fit
        _watches.append(self)
        if not _earlier:
            for number in _SIGNALS:
                _earlier[number] = _current(number)
                signal.signal(number, _on_signal)

    def asks(self, frame: FrameType | None) -> bool:
        """Tell whether a signal at `frame` is a first one in the training that is watched.

        Keras calls no hook when a `fit` raises; a loop of the user's own has to end the watch.
        """
        if self.requested or self.model is None:
            return False
        return not self._in_fit or is_fitting(self.model, frame)

    def end(self) -> None:
        """Watch no more; with the last watch the earlier handlers come back."""
        self.model = None
        if self in _watches:
            _watches.remove(self)
        if not _watches:
            _bring_back_all()


def _on_signal(number: int, frame: FrameType | None) -> None:
    asked = [watch for watch in _watches if watch.asks(frame)]
    for watch in asked:
        watch.requested = True
    if not asked:
        _watches.clear()
        _bring_back_all()
        os.kill(os.getpid(), number)


def _current(number: int) -> Any:
    """Return the handler that is in place: Python's, or a host's (R) as the bytes of its struct."""
    handler = signal.getsignal(number)
    if handler is not None:
        return handler
    action = ctypes.create_string_buffer(_SIGACTION_SIZE)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action


def _bring_back_all() -> None:
    while _earlier:
        number, earlier = _earlier.popitem()
        with contextlib.suppress(ValueError):  # not on the main thread any more
            if isinstance(earlier, ctypes.Array):
                ctypes.CDLL(None).sigaction(number, earlier, None)
            else:
                signal.signal(number, earlier)
