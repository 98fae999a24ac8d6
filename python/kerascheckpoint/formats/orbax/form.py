"""The form of `.orbax` directories."""

import dataclasses
from typing import Literal

from ...file_kind import ORBAX_SUFFIX
from ...storage.base import Storage
from ..base import CheckpointWriter, Form, OpenCheckpoint
from . import access, layout
from .checkpoint import OrbaxDirectory
from .publish import check_replaceable
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
        """Check that Orbax is installed and can write at the place.

        A path without placeholders must not be that of something else.
        """
        if not layout.is_installed("orbax", "checkpoint"):
            raise ImportError(f"{layout.NEEDS_ORBAX} Received: filepath={path}")
        if not storage.is_local and not access.is_served(path):
            raise ValueError(
                f"{access.SERVED}. End filepath in `.keras`, which can be saved at every URL, "
                f"or mount the place as a disk. Received: filepath={path!r}."
            )
        if storage.options:
            raise ValueError(
                "storage_options do not reach Orbax, which finds gs:// by Google's own settings "
                "(GOOGLE_APPLICATION_CREDENTIALS, ...): leave them out, or end filepath in "
                f"`.keras`. Received: storage_options for {', '.join(storage.options)}, with "
                f"filepath={path!r}."
            )
        if storage.is_local:
            check_replaceable(path)

    def try_out(self, directory: str, storage: Storage) -> None:
        """Check that Orbax' own clients reach an object store, before the first batch."""
        if not storage.is_local:
            access.try_out(directory)

    def writer(self) -> CheckpointWriter:
        """Return a new writer."""
        return OrbaxWriter()

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a directory."""
        return OrbaxDirectory(storage, path)


ORBAX = OrbaxForm()
