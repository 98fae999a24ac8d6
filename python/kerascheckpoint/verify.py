"""Check a checkpoint: structure, sizes and every byte against the checksums of its record."""

import os

from . import location
from .checkpoint_info import CheckpointInfo
from .formats.keras_file import reader
from .formats.keras_file.verify import verify_open


def verify_checkpoint(path: "str | os.PathLike[str]") -> CheckpointInfo:
    """Read a checkpoint as a whole and compare it with its record.

    Args:
        path: A `.keras`, `.weights.h5` or legacy `.h5` file.

    Returns:
        What the file says of itself. A stock Keras file has no checksums of its arrays: for it,
        structure and sizes (and a zip's own checksums) are all that can be checked.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If anything is wrong; the text says what.
        CheckpointSchemaError: If a newer version of this package wrote it.
    """
    path = location.absolute(path)
    with reader.opened(path) as file:
        return verify_open(file, path)[0]
