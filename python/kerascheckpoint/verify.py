"""Check a checkpoint: structure, sizes and every byte against the checksums of its record."""

import os
from collections.abc import Mapping
from typing import Any

from . import location
from .checkpoint_info import CheckpointInfo
from .formats.base import OpenCheckpoint
from .formats.forms import open_checkpoint
from .notify import warn
from .storage.places import storage_for


def verify_checkpoint(
    path: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> CheckpointInfo:
    """Read a whole checkpoint and compare it with its checksums.

    Args:
        path: A `.keras`, `.weights.h5`, `.orbax` or legacy `.h5` checkpoint, a path or a URL.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        The info of the checkpoint. A stock `.keras` file is compared with the checksums of the zip.
        A stock `.h5` file has none, so a `CheckpointWarning` says that only its structure was
        checked. Another `CheckpointWarning` tells of a file that was changed without harm to its
        arrays.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If anything is wrong; the message says what.
        CheckpointSchemaError: If a newer version of this package wrote it.
    """
    path = location.absolute(path)
    with open_checkpoint(path, storage_for(path, storage_options, argument="path")) as checkpoint:
        for remark in verify_open(checkpoint):
            warn(remark)
        return checkpoint.info


def warn_of_changes(checkpoint: OpenCheckpoint) -> None:
    """Verify an open checkpoint; warn if it was changed without harm to its arrays."""
    if checkpoint.verify().is_changed:
        warn(_changed(checkpoint))


def _changed(checkpoint: OpenCheckpoint) -> str:
    return f"{checkpoint.path!r} was changed since it was written; its arrays are whole"


def verify_open(checkpoint: OpenCheckpoint) -> list[str]:
    """Verify an open checkpoint; return the remarks on an undamaged one."""
    found = checkpoint.verify()
    remarks = [_changed(checkpoint)] if found.is_changed else []
    if not found.has_checksums:
        remarks.append(
            f"{checkpoint.path!r} has no checksums, because Keras writes none: only its structure "
            "was checked"
        )
    return remarks
