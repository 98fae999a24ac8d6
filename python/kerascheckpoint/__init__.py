"""A model checkpoint callback for Keras that cannot lose a file and hardly stops training.

`ModelCheckpoint` stands in for `keras.callbacks.ModelCheckpoint`. The other functions find, check
and restore the files that it writes; none of them imports TensorFlow, JAX, PyTorch or Keras until
a model is touched.
"""

from typing import TYPE_CHECKING, Any

from .catalog import best_checkpoint, latest_checkpoint, list_checkpoints
from .checkpoint_info import CheckpointInfo
from .errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointNameError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
    CheckpointWarning,
    CheckpointWriteError,
)
from .verify import verify_checkpoint

if TYPE_CHECKING:
    from .callback import ModelCheckpoint
    from .restore import restore_checkpoint

__version__ = "0.1.0"

__all__ = [
    "CheckpointCorruptError",
    "CheckpointError",
    "CheckpointInfo",
    "CheckpointMismatchError",
    "CheckpointNameError",
    "CheckpointNotFoundError",
    "CheckpointSchemaError",
    "CheckpointWarning",
    "CheckpointWriteError",
    "ModelCheckpoint",
    "best_checkpoint",
    "latest_checkpoint",
    "list_checkpoints",
    "restore_checkpoint",
    "verify_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import what needs Keras only when it is asked for."""
    if name == "ModelCheckpoint":
        from .callback import ModelCheckpoint

        return ModelCheckpoint
    if name == "restore_checkpoint":
        from .restore import restore_checkpoint

        return restore_checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
