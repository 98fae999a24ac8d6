"""Turn signals (SIGINT and SIGTERM, or others) into a wish to stop, as long as a `fit` runs."""

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

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # what `save_on_interrupt=True` means
_SIGACTION_SIZE = 512  # bytes, more than any system's struct sigaction takes


class _Earlier(NamedTuple):
    """What a signal did before: in Python, and in the process.

    They differ where Python is a guest: reticulate's own struct sigaction wakes both R and Python,
    and `signal.signal` alone, which knows nothing of it, would leave R deaf.
    """

    handler: Any  # None if it was not installed from Python
    action: "ctypes.Array[ctypes.c_char] | None"  # None on Windows


# The watches of all callbacks in training share one handler, so that each can end in any order.
_watches: "list[InterruptWatch]" = []
_earlier: dict[int, _Earlier] = {}


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
        self._signals: Sequence[int] = SIGNALS

    def __deepcopy__(self, memo: dict[int, Any]) -> "InterruptWatch":
        return InterruptWatch()

    def __reduce__(self) -> tuple[type["InterruptWatch"], tuple[()]]:
        return InterruptWatch, ()

    def begin(self, model: Any, *, in_fit: bool = True, signals: Sequence[int] = SIGNALS) -> None:
        """Watch for signals; only the main thread can, elsewhere a warning says so.

        Args:
            model: The model in training.
            in_fit: Whether `fit` trains it; then the watch ends with it even if it raises.
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
        """Tell whether a signal at `frame` is a first one in the training that is watched.

        Keras calls no hook when a `fit` raises; a loop of the user's own has to end the watch.
        """
        if self.requested or self.model is None or number not in self._signals:
            return False
        return not self._in_fit or is_fitting(self.model, frame)

    def is_left_over(self, frame: FrameType) -> bool:
        """Tell whether the `fit` that is watched is not on the stack of `frame` any more."""
        return self._in_fit and not is_fitting(self.model, frame)

    def end(self) -> None:
        """Watch no more; with the last watch the earlier handlers come back."""
        self.model = None
        if self in _watches:
            _watches.remove(self)
        if not _watches:
            _restore_all_handlers()


def end_finished() -> None:
    """End the watches of every `fit` that is over: for a host, after one that may have raised."""
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
    """Send a signal where it went before, and let later ones go there by themselves.

    The other signal may be pending in Python as well; it would be lost if there were no handler
    any more when its turn comes. So it keeps ours, which passes it on in the same way.
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
        return  # only the main thread can; elsewhere ours stays, and passes every signal on
    if signal.getsignal(number) is _on_signal:  # else somebody has put another in its place
        if earlier.handler is not None:
            signal.signal(number, earlier.handler)
        _set_action(number, earlier.action)
    _earlier.pop(number, None)


def _action(number: int) -> "ctypes.Array[ctypes.c_char] | None":
    """Return the bytes of the struct sigaction that is in place, whoever put it there."""
    if sys.platform == "win32":
        return None
    action = ctypes.create_string_buffer(_SIGACTION_SIZE)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action


def _set_action(number: int, action: "ctypes.Array[ctypes.c_char] | None") -> None:
    if action is not None:
        ctypes.CDLL(None).sigaction(number, action, None)
