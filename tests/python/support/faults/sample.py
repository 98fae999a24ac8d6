"""What the faults save: a checkpoint in versions that a reader can tell apart."""

import json
import os
import zipfile
from typing import Any

import numpy as np

from kerascheckpoint import errors, verify
from kerascheckpoint.file_kind import suffix_of
from kerascheckpoint.formats.keras_file import writer
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from support import small_files


class Sample:
    """The content of a real checkpoint, in versions that a reader can tell apart.

    Each version fills all arrays with its number, so a mixture of two would be seen.
    """

    def __init__(self, path: str) -> None:
        self.name = os.path.basename(path)
        self.arrays = small_files.read(path)
        self.more: dict[str, Any] = {}
        if path.endswith(".keras"):
            with zipfile.ZipFile(path) as file:
                metadata = json.loads(file.read(writer.METADATA))
                self.more = {
                    "config": file.read(writer.CONFIG).decode(),
                    "metadata": {k: v for k, v in metadata.items() if k != "kerascheckpoint"},
                }
        self.file_writer = KerasFileWriter()

    @property
    def suffix(self) -> str:
        """What the names of its files end in."""
        return suffix_of(self.name)

    def save(self, directory: str, version: int) -> None:
        """Save a version in `directory`, under the sample's own name."""
        self.save_at(os.path.join(directory, self.name), version)

    def save_at(self, path: str, version: int) -> None:
        """Save a version at `path`."""
        arrays = {name: np.full_like(array, version) for name, array in self.arrays.items()}
        small_files.write(
            path, arrays, file_writer=self.file_writer, fields={"step": version}, **self.more
        )

    def version_in(self, directory: str) -> int | None:
        """Return the version that stands in `directory`, `None` if there is no file.

        Raises:
            CheckpointCorruptError: If it is not whole.
        """
        path = os.path.join(directory, self.name)
        if not os.path.exists(path):
            return None
        info = verify.verify_checkpoint(path)
        found = small_files.read(path)
        versions = {float(value) for array in found.values() for value in np.unique(array)}
        if set(found) != set(self.arrays) or versions != {float(info.step or 0)}:
            raise errors.CheckpointCorruptError(f"a mixture of versions {sorted(versions)}")
        return info.step
