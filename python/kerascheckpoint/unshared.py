"""Objects of one callback in one process, which no copy of the callback shares."""

from typing import Any


class Unshared:
    """A base class: a copied or unpickled object is a new one, made without arguments."""

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), ()
