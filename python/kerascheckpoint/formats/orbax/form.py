"""The form of `.orbax` directories."""

import dataclasses
from typing import Literal

from ...file_kind import ORBAX_SUFFIX
from ...storage.base import Storage
from ..base import CheckpointWriter, Form, OpenCheckpoint
from . import layout
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

    def check(self, path: str, storage: Storage) -> None:
        """Check that Orbax is installed and that the place is a file system of this machine."""
        if not layout.is_installed("orbax", "checkpoint"):
            raise ImportError(f"{layout.NEEDS_ORBAX} Received: filepath={path}")
        if not storage.is_local:
            raise ValueError(
                "A filepath that ends in `.orbax` must be a path of this machine's file systems: "
                "Orbax cannot write to URLs such as 's3://bucket/run'. End filepath in `.keras`, "
                f"or mount the bucket. Received: filepath={path!r}."
            )

    def writer(self) -> CheckpointWriter:
        """Return a new writer."""
        return OrbaxWriter()

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a directory."""
        return OrbaxDirectory(storage, path)


ORBAX = OrbaxForm()
