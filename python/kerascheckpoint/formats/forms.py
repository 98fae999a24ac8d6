"""Find the form of a path, and open a checkpoint of any form."""

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

FORMS: tuple[Form, ...] = (WEIGHTS, MODEL, LEGACY, ORBAX)  # .weights.h5 comes before .h5


def form_of(path: str) -> Form:
    """Return the form of the checkpoint at a path, by its suffix.

    Raises:
        ForeignFileError: If the path has no suffix of a checkpoint.
    """
    for form in FORMS:
        if path.endswith(form.suffix):
            return form
    suffixes = ", ".join(form.suffix for form in FORMS)
    raise ForeignFileError(f"{path!r} is not a checkpoint: its name must end in {suffixes}")


def open_checkpoint(
    path: "str | os.PathLike[str]", storage: Storage | None = None
) -> OpenCheckpoint:
    """Open a checkpoint.

    Args:
        path: Its path; `~` is expanded.
        storage: Its place; `None` finds it by the path.

    Raises:
        CheckpointNotFoundError: If there is none at `path`.
        CheckpointCorruptError: If it is damaged or not a checkpoint.
        CheckpointSchemaError: If its record is newer than this version can read.
    """
    path = location.absolute(path)
    place = storage or storage_for(path)
    if not suffix_of(path) and not place.exists(path):
        raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}")
    return form_of(path).open(place, path)


def reading_many() -> "contextlib.AbstractContextManager[object]":
    """Share resources between the checkpoints that are read within the block."""
    return hdf5_helper.shared()
