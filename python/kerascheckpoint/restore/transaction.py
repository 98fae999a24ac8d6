"""Load a file's state into a model part by part, and roll back if one part fails."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..errors import CheckpointMismatchError
from ..keras_seam.store import KerasMustHandleError
from ..state.base import Stateful


class Part(Protocol):
    """One part of the state that a file holds for a model."""

    def load(self) -> None:
        """Load the part from the file."""

    def roll_back(self) -> list[str]:
        """Restore the earlier state; return descriptions of what could not be restored."""


class StatePart:
    """A `Stateful`, as a part."""

    def __init__(self, one: Stateful, state: Mapping[str, Any]) -> None:
        self._one, self._state = one, state
        self._before = one.capture()

    def load(self) -> None:
        """Load the state from the file."""
        self._one.restore(self._state)

    def roll_back(self) -> list[str]:
        """Restore the earlier state."""
        self._one.restore(self._before)
        return []


def load_all_or_nothing(parts: Sequence[Part]) -> None:
    """Load all parts, or none.

    Raises:
        KerasMustHandleError: If only Keras itself can load one of them.
        CheckpointMismatchError: If one of them failed; its own error is the cause.
    """
    try:
        for part in parts:
            part.load()
    except Exception as error:
        left = [place for part in reversed(parts) for place in part.roll_back()]
        if isinstance(error, KerasMustHandleError):
            raise
        but = f", except for {', '.join(left)}" if left else ""
        raise CheckpointMismatchError(
            f"it does not fit the model, which is as it was before{but}: {error}"
        ) from error
