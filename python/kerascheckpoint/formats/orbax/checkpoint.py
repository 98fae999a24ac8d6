"""A `.orbax` directory that is open for reading; its arrays are read through TensorStore."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ... import location
from ...checkpoint_info import CheckpointInfo
from ...errors import CheckpointCorruptError, CheckpointNotFoundError
from ...model_state import ArraySpec, Index, ObjectGroup
from ...storage.base import FileStatus, Storage
from ...storage.checksum import crc32
from .. import record, schema
from ..base import OpenCheckpoint, Verification, reporting
from . import layout, stored_array
from .chunks import whole
from .stored_array import StoredArray


class OrbaxDirectory(OpenCheckpoint):
    """A `.orbax` checkpoint; see `base.OpenCheckpoint`."""

    def __init__(self, storage: Storage, path: str) -> None:
        """Read the record of a directory.

        Raises:
            CheckpointNotFoundError: If there is none at `path`.
            CheckpointCorruptError: If it is damaged or not a checkpoint.
            CheckpointSchemaError: If its record is newer than this version can read.
        """
        self.path, self._storage = path, storage
        with reporting(path):
            files = storage.files_below(path)
            number = self._find_step(files)
            self._step = location.join(path, number)
            names = [name.partition("/") for name in files]
            self._files = [name for step, _, name in names if step == number]
            self.record = self._read_record()
            self.info = self._info(list(files.values()))

    def close(self) -> None:
        """Do nothing; nothing is kept open."""

    def _find_step(self, files: Mapping[str, FileStatus]) -> str:
        """Return the finished step; of several in an object store the one that Orbax takes."""
        absent = CheckpointNotFoundError(f"there is no checkpoint at {self.path!r}")
        if not self._storage.is_local:
            marked = layout.marked_steps(files)
            if not marked:  # a save that has not finished is none
                raise absent
            return marked[-1]
        if not self._storage.exists(self.path):
            raise absent
        if not self._storage.is_directory(self.path):
            raise CheckpointCorruptError("it is not a directory")
        return layout.only_step(files)

    def _read(self, name: str) -> bytes:
        try:
            with self._storage.open(location.join(self._step, name)) as file:
                return file.read()
        except FileNotFoundError:
            raise CheckpointCorruptError(f"its file {name!r} is missing") from None

    def _read_record(self) -> dict[str, Any] | None:
        has_item = any(name.startswith(f"{layout.RECORD}/") for name in self._files)
        if not has_item and not self._storage.is_directory(
            location.join(self._step, layout.RECORD)
        ):
            return None
        return record.decode(json.loads(self._read(f"{layout.RECORD}/{layout.RECORD_FILE}")))

    def _info(self, files: Sequence[FileStatus]) -> CheckpointInfo:
        size = sum(file.size for file in files)
        weights_only = not any(name.startswith(f"{layout.CONFIG}/") for name in self._files)
        if self.record is not None:
            return CheckpointInfo.from_record(
                self.record, path=self.path, size=size, weights_only=weights_only
            )
        modified = max(file.modified for file in files)
        return CheckpointInfo.of_stock_file(
            path=self.path,
            size=size,
            weights_only=weights_only,
            keras_version=None,
            saved_at=datetime.fromtimestamp(modified, timezone.utc),
        )

    @property
    def _stored(self) -> dict[str, StoredArray]:
        if self.record is None:
            raise CheckpointCorruptError("it has no record, so its arrays cannot be told apart")
        return {
            name: StoredArray(self._step, name, *row)
            for name, row in self.record["orbax"]["arrays"].items()
        }

    def _arrays(self) -> dict[str, ArraySpec]:
        return {name: ArraySpec(name, a.shape, a.dtype) for name, a in self._stored.items()}

    def part_reader(self, array: ArraySpec) -> Callable[[Index], "np.ndarray[Any, Any]"]:
        """Return a function that reads only the chunks that a part of an array touches."""

        def read(index: Index) -> "np.ndarray[Any, Any]":
            with reporting(self.path):
                found = self._stored[array.name].read(index)
            return found.view(array.dtype) if found.dtype != array.dtype else found

        return read

    def _pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        stored = self._stored[array.name]
        stored.verify()
        for index in stored.rows():
            yield np.ascontiguousarray(stored.read(index)).reshape(-1).view(np.uint8)

    def read(self, array: ArraySpec) -> "np.ndarray[Any, Any]":
        """Return a whole array; see `base.OpenCheckpoint`."""
        return self.part_reader(array)(whole(array.shape))

    def _verify(self) -> Verification:
        if self.record is None:
            return Verification(has_checksums=False)
        stored = self.record["orbax"]
        for part in stored["parts"]:
            if not any(name.startswith(f"{part}/") for name in self._files):
                raise CheckpointCorruptError(f"{layout.name_of_part(part)} is missing")
        for name, expected in stored["files"].items():
            if f"{crc32(self._read(name)):08x}" != expected:
                raise CheckpointCorruptError(f"its file {name!r} is damaged (checksum differs)")
        for array in self._stored.values():
            array.verify()
        for name in self._assets:
            self._read_asset(name)
        return Verification(has_checksums=True)

    def groups(self) -> list[ObjectGroup]:
        """Return the objects of the model that the weights have a place for."""
        stored = [] if self.record is None else self.record["orbax"]["groups"]
        return [ObjectGroup(path, *(name or [None])) for path, *name in stored]

    def tree(self) -> dict[str, tuple[str, ...]]:
        """Return where Keras' nested state has the arrays, by name."""
        stored = {} if self.record is None else self._stored
        return {
            name: tuple(array.place[1:])
            for name, array in stored.items()
            if array.place[0] == layout.PYTREE
        }

    def config(self) -> str | None:
        """Return the text of the model's config; `None` if only weights are stored."""
        name = f"{layout.CONFIG}/{layout.RECORD_FILE}"
        if name not in self._files:
            return None
        with reporting(self.path):
            return schema.text(record.parsed(self._read(name))["config"])

    @property
    def _assets(self) -> dict[str, str]:
        assets: dict[str, str] = {} if self.record is None else self.record["orbax"]["assets"]
        return assets

    def _read_asset(self, name: str) -> bytes:
        place = [layout.ASSETS, *name.split("/")]
        found: bytes = stored_array.open_array(self._step, name, place)[:].read().result().tobytes()
        if f"{crc32(found):08x}" != self._assets[name]:
            raise CheckpointCorruptError(f"asset {name!r} is damaged (checksum differs)")
        return found

    def assets(self) -> list[str]:
        """Return the paths of the model's asset files."""
        return list(self._assets)

    def extract_assets(self, directory: str) -> None:
        """Copy the asset files into an existing directory."""
        for name in self._assets:
            _write_below(directory, name, self._read_asset(name))

    def local_copy(self, directory: str) -> str:
        """Return the path of the step, or of a copy of it, from which Keras itself can load."""
        if self._storage.is_local:
            return self._step
        for name in self._files:
            _write_below(directory, name, self._read(name))
        return directory


def _write_below(directory: str, name: str, content: bytes) -> None:
    path = os.path.abspath(os.path.join(directory, name))
    if not path.startswith(os.path.abspath(directory) + os.sep):
        raise CheckpointCorruptError(f"its file {name!r} lies outside of it")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
