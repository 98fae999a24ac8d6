"""The variable behind Keras' global seed generator."""

import contextlib
from typing import Any

from .private import private_name
from .store import KerasMustHandleError


def global_seed_state() -> Any:
    """Return the variable of Keras' global seed generator, or `None` if there is none yet."""
    name = "global_seed_generator"  # older Keras has no constant for it
    with contextlib.suppress(KerasMustHandleError):
        name = private_name("random.seed_generator", "GLOBAL_SEED_GENERATOR")
    with contextlib.suppress(KerasMustHandleError, AttributeError):
        find = private_name("backend.common.global_state", "get_global_attribute")
        generator = find(name)
        return None if generator is None else generator.state
    return None


def make_global_seed_state() -> Any:
    """Return the variable of Keras' global seed generator, which is created if needed."""
    return private_name("random.seed_generator", "global_seed_generator")().state
