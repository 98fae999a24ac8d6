"""Turn signals such as SIGINT and SIGTERM into a request to stop, while a `fit` runs."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple

from .keras_seam.fit_control import is_fitting
from .notify import warn
from .unshared import Unshared

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # what `save_on_interrupt=True` means
_SIGACTION_SIZE = 512  # bytes, more than any system's struct sigaction takes


class _Earlier(NamedTuple):
    """The earlier handler of a signal: Python's, and the one of the process.

    The two differ where Python runs inside R: reticulate installs a struct sigaction that wakes
    both. `signal.signal` knows nothing of it, so restoring with it alone would leave R deaf.
    """

    handler: Any  # None if it was not installed from Python
    action: "ctypes.Array[ctypes.c_char] | None"  # None on Windows


# The watches of all callbacks share one handler, so that they can end in any order.
_watches: "list[InterruptWatch]" = []
_earlier: dict[int, _Earlier] = {}


class InterruptWatch(Unshared):
    """Notes the first signal; a second one, or one after the `fit`, goes to the earlier handler.

    Attributes:
        requested: Whether a signal has asked training to stop.
        model: The model in training, if any.
    """

    def __init__(self) -> None:
        self.requested = False
        self.model: Any = None
        self._in_fit = False
        self._signals: Sequence[int] = SIGNALS

    def begin(self, model: Any, *, in_fit: bool = True, signals: Sequence[int] = SIGNALS) -> None:
        """Watch for signals, which only the main thread can do; on another thread, warn.

        Args:
            model: The model in training.
            in_fit: Whether `fit` trains it; the watch then ends with `fit`, even if that raises.
            signals: The signals to watch for.
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
        self._in_fit, self._signals = in_fit, signals
        _watches.append(self)
        for number in signals:
            if number not in _earlier:
                _earlier[number] = _Earlier(signal.getsignal(number), _action(number))
                signal.signal(number, _on_signal)

    def should_stop(self, number: int, frame: FrameType | None) -> bool:
        """Tell whether a signal at `frame` is the first one during the watched training.

        Keras calls no hook when `fit` raises, so the stack tells whether it still runs. A custom
        loop has to end the watch itself.
        """
        if self.requested or self.model is None or number not in self._signals:
            return False
        return not self._in_fit or is_fitting(self.model, frame)

    def is_left_over(self, frame: FrameType) -> bool:
        """Tell whether the watched `fit` is no longer on the stack of `frame`."""
        return self._in_fit and not is_fitting(self.model, frame)

    def end(self) -> None:
        """Stop watching; the last watch to end restores the earlier handlers."""
        self.model = None
        if self in _watches:
            _watches.remove(self)
        if not _watches:
            _restore_all_handlers()


def end_finished() -> None:
    """End the watches of every `fit` that is over; R calls this after each `fit`."""
    frame = sys._getframe()
    for watch in list(_watches):
        if watch.is_left_over(frame):
            watch.end()
    if not _watches:
        _restore_all_handlers()


def _on_signal(number: int, frame: FrameType | None) -> None:
    asked = [watch for watch in _watches if watch.should_stop(number, frame)]
    for watch in asked:
        watch.requested = True
    if not asked and number in _earlier:
        _watches.clear()
        _forward(number)


def _forward(number: int) -> None:
    """Send a signal to its earlier handler, which also gets the later ones.

    Another signal may be pending in Python and would be lost without a handler. So the others keep
    ours, which forwards them in the same way.
    """
    for each, earlier in list(_earlier.items()):
        _set_action(each, earlier.action)
    _restore_handler(number)
    os.kill(os.getpid(), number)


def _restore_all_handlers() -> None:
    for number in list(_earlier):
        _restore_handler(number)


def _restore_handler(number: int) -> None:
    earlier = _earlier.get(number)
    if earlier is None or threading.current_thread() is not threading.main_thread():
        return  # only the main thread can restore it; until then ours forwards every signal
    if signal.getsignal(number) is _on_signal:  # else other code has replaced it
        if earlier.handler is not None:
            signal.signal(number, earlier.handler)
        _set_action(number, earlier.action)
    _earlier.pop(number, None)


def _action(number: int) -> "ctypes.Array[ctypes.c_char] | None":
    """Return the bytes of the installed struct sigaction."""
    if sys.platform == "win32":
        return None
    action = ctypes.create_string_buffer(_SIGACTION_SIZE)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action


def _set_action(number: int, action: "ctypes.Array[ctypes.c_char] | None") -> None:
    if action is not None:
        ctypes.CDLL(None).sigaction(number, action, None)
