"""Which form a path stands for, and checkpoints of any form opened by their path."""

import contextlib
import os

from .. import location
from ..errors import CheckpointNotFoundError
from ..file_kind import suffix_of
from ..storage.base import Storage
from ..storage.places import storage_for
from .base import ForeignFileError, Form, OpenCheckpoint
from .keras_file import hdf5_helper
from .keras_file.forms import LEGACY, MODEL, WEIGHTS
from .orbax.form import ORBAX

FORMS: tuple[Form, ...] = (WEIGHTS, MODEL, LEGACY, ORBAX)  # a suffix before one that it ends in


def form_of(path: str) -> Form:
    """Return the form of the checkpoint at a path, by its suffix.

    Raises:
        ForeignFileError: If no checkpoint has such a name.
    """
    for form in FORMS:
        if path.endswith(form.suffix):
            return form
    suffixes = ", ".join(form.suffix for form in FORMS)
    raise ForeignFileError(f"{path!r} is no checkpoint: its name ends in none of {suffixes}")


def open_checkpoint(
    path: "str | os.PathLike[str]", storage: Storage | None = None
) -> OpenCheckpoint:
    """Open a checkpoint; whatever is asked of it then comes from one and the same file.

    Args:
        path: Where it is; `~` is expanded.
        storage: The place that it is read from; `None` finds it by the path.

    Raises:
        CheckpointNotFoundError: If there is none at `path`.
        CheckpointCorruptError: If it is not a readable one.
        CheckpointSchemaError: If its record is newer than this version reads.
    """
    path = location.absolute(path)
    place = storage or storage_for(path)
    if not suffix_of(path) and not place.exists(path):
        raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}")
    return form_of(path).open(place, path)


def reading_many() -> "contextlib.AbstractContextManager[object]":
    """Share what it takes to read many checkpoints, for as long as the block lasts."""
    return hdf5_helper.shared()
