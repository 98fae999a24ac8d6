"""Build layers first, and give their variables memory afterwards."""

import contextlib
from collections.abc import Iterator

import keras

from .private import private_name
from .store import KerasMustHandleError

_WAITING = "uninitialized_variables"  # Keras' name for the variables that wait


@contextlib.contextmanager
def deferred_variables() -> Iterator[None]:
    """Let variables made in the block take memory at its end, and never if the block raises.

    Inside, they have a shape and a dtype only. A Keras that keeps no list of such variables makes
    them at once.
    """
    try:
        get = private_name("backend.common.global_state", "get_global_attribute")
        put = private_name("backend.common.global_state", "set_global_attribute")
    except KerasMustHandleError:
        yield
        return
    before = list(get(_WAITING) or ())
    with keras.StatelessScope():
        try:
            yield
        except BaseException:
            put(_WAITING, before)
            raise
