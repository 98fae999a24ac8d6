"""The random state of a host language that embeds Python, such as R."""

import json
from collections.abc import Callable

_Capture = Callable[[], "str | None"]
_Restore = Callable[[str], object]

_functions: tuple[_Capture, _Restore] | None = None


def set_host_state(capture: "_Capture | None", restore: "_Restore | None") -> None:
    """Have checkpoints include the random state of a host language, such as R's `.Random.seed`.

    Both functions are called on the training thread. Pass `None` twice to unset them.

    Args:
        capture: A function without arguments that returns the state as JSON text, or `None` if
            there is no state.
        restore: A function that takes such a text and restores the state.

    Raises:
        ValueError: If only one of the two functions is given.
    """
    global _functions
    if capture is None and restore is None:
        _functions = None
    elif capture is None or restore is None:
        raise ValueError("set_host_state() takes two functions, or None twice; got one of each")
    else:
        _functions = capture, restore


def is_there() -> bool:
    """Tell whether there is a host whose random state is known."""
    return _functions is not None


def capture() -> str | None:
    """Return the host's random state as JSON text, or `None` without a host."""
    if _functions is None:
        return None
    state = _functions[0]()
    return None if state is None else str(state)


def check(state: object) -> None:
    """Raise a ValueError if `state` is not what `capture` returns."""
    if state is None:
        return
    if not isinstance(state, str):
        raise ValueError("the host's random state is not text")
    json.loads(state)


def restore(state: str | None) -> None:
    """Pass the state to the host, if there is one."""
    if state is not None and _functions is not None:
        _functions[1](state)
