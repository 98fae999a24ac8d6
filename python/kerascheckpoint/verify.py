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
    """Read a checkpoint as a whole and compare it with its record.

    Args:
        path: A `.keras`, `.weights.h5` or legacy `.h5` file, a path or a URL.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        What the file says of itself. A stock `.keras` file is compared with the zip's own
        checksums. A stock `.h5` file has none: a `CheckpointWarning` says that only its structure
        was checked. Another says that a program changed a file since it was written, where that
        did no harm to any array.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If anything is wrong; the text says what.
        CheckpointSchemaError: If a newer version of this package wrote it.
    """
    path = location.absolute(path)
    with open_checkpoint(path, storage_for(path, storage_options)) as checkpoint:
        for remark in verify_open(checkpoint):
            warn(remark)
        return checkpoint.info


def warn_of_changes(checkpoint: OpenCheckpoint) -> None:
    """Verify an open checkpoint; warn if it was changed without harm since it was written."""
    if checkpoint.verify().is_changed:
        warn(_changed(checkpoint))


def _changed(checkpoint: OpenCheckpoint) -> str:
    return f"{checkpoint.path!r} was changed since it was written; its arrays are whole"


def verify_open(checkpoint: OpenCheckpoint) -> list[str]:
    """Verify an open checkpoint; return what must be said of one that is not damaged."""
    found = checkpoint.verify()
    remarks = [_changed(checkpoint)] if found.is_changed else []
    if not found.has_checksums:
        remarks.append(
            f"{checkpoint.path!r} has no checksums, as Keras writes none: only its structure was "
            "checked"
        )
    return remarks
