"""What a file says of itself, by its path, for whoever needs nothing else of it."""

from typing import Any

from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointError
from ..storage.base import Storage
from . import forms


def read_info(path: str, storage: Storage | None = None) -> CheckpointInfo:
    """Return what the file at `path` says of itself; its arrays are not read."""
    with forms.open_checkpoint(path, storage) as checkpoint:
        return checkpoint.info


def is_best(path: str, storage: Storage | None = None) -> bool:
    """Tell whether the file at `path` says that it is the best model of its run."""
    try:
        return read_info(path, storage).best is True
    except (CheckpointError, OSError):
        return False


def read_record(path: str, storage: Storage | None = None) -> dict[str, Any] | None:
    """Return all fields of the file's record, or `None` for a stock Keras file."""
    with forms.open_checkpoint(path, storage) as checkpoint:
        return checkpoint.record
