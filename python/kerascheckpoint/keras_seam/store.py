"""The store that objects save their variables into, and the error if only Keras can save them."""

from collections.abc import Mapping
from typing import Any, NoReturn

import keras
import numpy as np

from .variable import VARIABLE


class KerasMustHandleError(Exception):
    """Only Keras' own code can save this model, or works with this version of Keras."""


class StoreEntry(dict[str, Any]):
    """What an object's `save_own_variables` writes into.

    It supports what a dict supports. Any other use is recorded, because it needs Keras' own store.

    Attributes:
        unknown_use: Description of such a use, even if the object caught the error.
    """

    unknown_use: str | None = None

    def __init__(self, content: Mapping[str, Any] | None = None, take: Any = None) -> None:
        """Make an entry.

        Args:
            content: Initial values by key.
            take: Called with each value written; the entry keeps what it returns.
        """
        super().__init__(content or {})
        self._take = take

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            self._refuse(f"wrote {key!r} twice")
        super().__setitem__(key, value if self._take is None else self._take(value))

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        is_variable = isinstance(value, VARIABLE)
        return np.asarray(keras.ops.convert_to_numpy(value)) if is_variable else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f"used {name!r}")

    def _refuse(self, use: str) -> NoReturn:
        self.unknown_use = f"save_own_variables {use} of its store"
        raise UnknownStoreUseError(self.unknown_use)


class UnknownStoreUseError(KerasMustHandleError, AttributeError):
    """An object used its store in a way that only Keras' own store supports."""
