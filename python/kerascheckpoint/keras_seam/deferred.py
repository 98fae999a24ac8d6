"""Build layers without allocating memory for their variables until later."""

import contextlib
from collections.abc import Iterator

import keras

from .private import private_name
from .store import KerasMustHandleError

_WAITING = "uninitialized_variables"  # Keras' name for its list of such variables


@contextlib.contextmanager
def deferred_variables() -> Iterator[None]:
    """Allocate memory for variables created in the block at its end, or never if it raises.

    Inside the block, they only have a shape and a dtype. If this version of Keras cannot defer
    variables, they are allocated immediately.
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
