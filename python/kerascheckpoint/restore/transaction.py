"""Put a file's state into a model part by part, and take all of it back if one part fails."""

from collections.abc import Sequence

from ..errors import CheckpointMismatchError
from ..keras_seam.store import KerasMustHandleError
from ..state.base import Part


def exchange(parts: Sequence[Part]) -> None:
    """Load all parts, or none.

    Raises:
        KerasMustHandleError: If only Keras' own loading can load one of them.
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
