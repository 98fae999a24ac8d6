"""The file at the target of a save: what it says before it is replaced, and afterwards."""

from collections.abc import Mapping
from typing import Any

from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointError, CheckpointNotFoundError
from ..formats.forms import open_checkpoint
from ..formats.record import SCHEMA
from ..notify import warn
from ..storage.base import Storage
from .settings import Settings


def holds_best(path: str, storage: Storage) -> bool:
    """Tell whether the checkpoint at `path`, if there is one, is the best of its run."""
    try:
        with open_checkpoint(path, storage) as checkpoint:
            return checkpoint.info.best is True
    except (CheckpointError, OSError):
        return False


def info_after_save(
    path: str, fields: Mapping[str, Any], settings: Settings
) -> CheckpointInfo | None:
    """Return the info of a file that was just written, without reading it.

    Args:
        path: The file.
        fields: The record that it was written with.
        settings: The callback's arguments.

    Returns:
        The info; `None`, with a warning, if the file is gone already.
    """
    try:
        size = settings.storage.status(path).size
    except CheckpointNotFoundError:
        warn(f"{path!r} was written, but another program has deleted or moved it since")
        return None
    record = dict(fields) | {"schema": SCHEMA}
    weights_only = settings.save_weights_only
    return CheckpointInfo.from_record(record, path=path, size=size, weights_only=weights_only)
