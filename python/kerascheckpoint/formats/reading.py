"""Read the info or the record of a checkpoint by its path."""

from typing import Any

from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointError
from ..storage.base import Storage
from . import forms


def read_info(path: str, storage: Storage | None = None) -> CheckpointInfo:
    """Return the info of the checkpoint at `path`, without reading its arrays."""
    with forms.open_checkpoint(path, storage) as checkpoint:
        return checkpoint.info


def is_best(path: str, storage: Storage | None = None) -> bool:
    """Tell whether the checkpoint at `path` is recorded as the best of its run."""
    try:
        return read_info(path, storage).best is True
    except (CheckpointError, OSError):
        return False


def read_record(path: str, storage: Storage | None = None) -> dict[str, Any] | None:
    """Return all fields of the record at `path`, or `None` for a stock Keras file."""
    with forms.open_checkpoint(path, storage) as checkpoint:
        return checkpoint.record
