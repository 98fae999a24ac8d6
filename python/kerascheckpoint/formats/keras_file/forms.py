"""The forms of standard Keras files: `.keras`, `.weights.h5` and the legacy `.h5`."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Literal

from ...file_kind import LEGACY_SUFFIX, MODEL_SUFFIX, WEIGHTS_SUFFIX
from ...model_state import ModelSnapshot
from ...storage.base import Storage, write_error
from ..base import CheckpointWriter, Form, KerasSave, OpenCheckpoint, Target
from . import add_record
from .checkpoint import KerasFile, KerasModelFile, KerasWeightsFile, LegacyFile
from .writer import KerasFileWriter


@dataclasses.dataclass(frozen=True)
class KerasFileForm:
    """A standard Keras file, written by one process; see `base.Form`."""

    suffix: str
    opened: type[KerasFile]
    takes: Literal["snapshot", "keras save"] = "snapshot"
    carries_record: bool = True
    processes: Literal["first", "all"] = "first"

    @property
    def weights_only(self) -> bool:
        """Whether it holds weights only."""
        return self.opened.weights_only

    @property
    def written_by_keras(self) -> Form:
        """The form that writes the same files for a model that only Keras can save."""
        return dataclasses.replace(self, takes="keras save")

    def check(self, path: str, storage: Storage) -> None:
        """Accept every place, and need no other package."""

    def try_out(self, directory: str, storage: Storage) -> None:
        """Do nothing: the place has tried its only client."""

    def writer(self) -> CheckpointWriter:
        """Return a new writer."""
        return SnapshotWriter() if self.takes == "snapshot" else RecordAdder(self)

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a file."""
        return self.opened(storage.open(path), path)


MODEL = KerasFileForm(MODEL_SUFFIX, KerasModelFile)
WEIGHTS = KerasFileForm(WEIGHTS_SUFFIX, KerasWeightsFile)
LEGACY = KerasFileForm(LEGACY_SUFFIX, LegacyFile, takes="keras save", carries_record=False)


class SnapshotWriter:
    """Writes captured models with the writer of this package."""

    def __init__(self) -> None:
        self._files = KerasFileWriter()

    @property
    def offsets(self) -> Mapping[str, int]:
        """Offset of each array in the weights of the last file, if there was one."""
        return self._files.offsets

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a file and publish it; see `base.CheckpointWriter`."""
        assert isinstance(content, ModelSnapshot)
        with target.storage.atomic_write(target.path, target.root, overwrites=True) as staged:
            # What will be uploaded is read at once.
            self._files.write(staged.fd, content, fields, bypass_cache=target.storage.is_local)


@dataclasses.dataclass(frozen=True)
class RecordAdder:
    """Lets Keras write a temporary file, adds our record and publishes the result."""

    form: KerasFileForm
    offsets: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a file and publish it; see `base.CheckpointWriter`."""
        assert isinstance(content, KerasSave)
        with target.storage.atomic_write(target.path, target.root) as staged:
            sibling = staged.sibling(self.form.suffix)
            try:
                content.write(sibling)
            except RuntimeError as error:  # h5py reports a full disk without an error number
                raise write_error(target.path, OSError(str(error))) from error
            add_record.add_arrays(sibling, content.arrays)
            add_record.add_record(staged.fd, sibling, fields)
            os.unlink(sibling)
