"""Turn SIGINT and SIGTERM into a wish to stop, for as long as a `fit` runs."""

import contextlib
import ctypes
import os
import signal
import threading
from types import FrameType
from typing import Any

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

    def __deepcopy__(self, memo: dict[int, Any]) -> "InterruptWatch":
        return InterruptWatch()

    def __reduce__(self) -> tuple[type["InterruptWatch"], tuple[()]]:
        return InterruptWatch, ()

    def begin(self, model: Any) -> None:
        """Watch for signals; only the main thread can, elsewhere a warning says so."""
        self.end()
        self.requested = False
        if threading.current_thread() is not threading.main_thread():
            warn(
                "save_on_interrupt=True has no effect here: signals reach the main thread only, "
                "and this training runs on another"
            )
            return
        self.model = model
        _watches.append(self)
        if not _earlier:
            for number in _SIGNALS:
                _earlier[number] = _current(number)
                signal.signal(number, _on_signal)

    def end(self) -> None:
        """Watch no more; with the last watch the earlier handlers come back."""
        self.model = None
        if self in _watches:
            _watches.remove(self)
        if not _watches:
            _bring_back_all()


def _on_signal(number: int, frame: FrameType | None) -> None:
    asked = [w for w in _watches if not w.requested and _is_training(w.model, frame)]
    for watch in asked:
        watch.requested = True
    if not asked:
        _watches.clear()
        _bring_back_all()
        os.kill(os.getpid(), number)


def _is_training(model: Any, frame: FrameType | None) -> bool:
    """Tell whether a `fit` of `model` is on the stack: Keras calls no hook when one raises."""
    while frame is not None and model is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False


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
