"""A model checkpoint callback for Keras that never loses a file and hardly slows training.

`ModelCheckpoint` replaces `keras.callbacks.ModelCheckpoint`. The functions find, check and restore
the files that it writes. None of them imports Keras, TensorFlow, JAX or PyTorch before it touches a
model.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .average import average_checkpoints
from .catalog import (
    best_checkpoint,
    checkpoint_history,
    latest_checkpoint,
    list_checkpoints,
)
from .checkpoint_info import CheckpointInfo
from .checkpoint_list import CheckpointList
from .compare import ArrayDifference, compare_checkpoints
from .errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointMismatchError,
    CheckpointNameError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
    CheckpointUnreachableError,
    CheckpointWarning,
    CheckpointWriteError,
)
from .verify import verify_checkpoint

if TYPE_CHECKING:
    from .callback import ModelCheckpoint

__version__ = "0.2.0"

__all__ = [
    "ArrayDifference",
    "CheckpointCorruptError",
    "CheckpointError",
    "CheckpointInfo",
    "CheckpointList",
    "CheckpointMismatchError",
    "CheckpointNameError",
    "CheckpointNotFoundError",
    "CheckpointSchemaError",
    "CheckpointUnreachableError",
    "CheckpointWarning",
    "CheckpointWriteError",
    "ModelCheckpoint",
    "average_checkpoints",
    "best_checkpoint",
    "checkpoint_history",
    "compare_checkpoints",
    "latest_checkpoint",
    "list_checkpoints",
    "plot_checkpoints",
    "restore_checkpoint",
    "verify_checkpoint",
]


def restore_checkpoint(
    model: Any,
    path: "str | os.PathLike[str]",
    storage_options: Mapping[str, Any] | None = None,
) -> CheckpointInfo:
    """Restore weights, optimizer state and random state from a checkpoint into `model`.

    An unbuilt optimizer is built first. The file is verified and compared with the model before
    anything changes. If only one of file and model has a schedule of the learning rate, the model
    keeps its own schedule or rate, everything else is restored, and a warning names both.

    Args:
        model: A Keras model of the same architecture.
        path: A `.keras`, `.weights.h5` or `.orbax` checkpoint, a path or a URL.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        The info of the checkpoint; its `epoch` is the next `initial_epoch` of `fit`.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If the file is damaged.
        CheckpointMismatchError: If the model differs; the message names the first difference.
    """
    from .restore.model import restore

    return restore(model, path, storage_options)


def plot_checkpoints(
    filepath: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]",
    monitor: str | None = None,
    ax: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Any:
    """Draw a metric of checkpoints over the epochs, and mark the best one.

    Filled points were the best so far when they were saved; a ring marks the best one, and its
    value stands beside the axes. A dashed line shows the other half of the metric (`loss` for
    `val_loss`). Several runs are drawn as one line each, with their best values in the legend.
    Needs matplotlib (`pip install kerascheckpoint[plot]`).

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`; or several of
            them, one for each run.
        monitor: Name of the metric; `None` uses the one that the newest file monitored.
        ax: The matplotlib axes to draw into; `None` makes new ones.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If no checkpoint has a finite value of the metric; the message lists the
            metrics.
    """
    from .plot import plot

    paths = [filepath] if isinstance(filepath, str | os.PathLike) else filepath
    runs = {os.fspath(path): list_checkpoints(path, storage_options) for path in paths}
    return plot(runs, monitor, ax)


def __getattr__(name: str) -> Any:
    """Import what needs Keras on first use."""
    if name == "ModelCheckpoint":
        from .callback import ModelCheckpoint

        return ModelCheckpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
