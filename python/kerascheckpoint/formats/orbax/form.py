"""The form of `.orbax` directories."""

import dataclasses
import importlib.util
from typing import Literal

from ...errors import CheckpointWriteError
from ...file_kind import ORBAX_SUFFIX
from ...storage.base import Storage
from ..base import CheckpointWriter, Form, OpenCheckpoint
from .checkpoint import OrbaxDirectory
from .writer import OrbaxWriter


@dataclasses.dataclass(frozen=True)
class OrbaxForm:
    """A directory that Orbax writes; see `base.Form`."""

    suffix: str = ORBAX_SUFFIX
    weights_only: bool = False
    carries_record: bool = True
    takes: Literal["snapshot", "keras save"] = "snapshot"
    processes: Literal["first", "all"] = "all"

    @property
    def written_by_keras(self) -> Form:
        """This form, whose writer raises for a model that only Keras can save."""
        return self

    def writer(self) -> CheckpointWriter:
        """Return a new writer.

        Raises:
            CheckpointWriteError: If Orbax is not installed.
        """
        if importlib.util.find_spec("orbax") is None:
            raise CheckpointWriteError(
                "a filepath that ends in `.orbax` needs Orbax: pip install kerascheckpoint[orbax]"
            )
        return OrbaxWriter()

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a directory."""
        return OrbaxDirectory(storage, path)


ORBAX = OrbaxForm()
