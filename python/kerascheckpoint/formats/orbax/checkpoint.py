"""A `.orbax` directory that is open for reading; its arrays are read through TensorStore."""

import importlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ...checkpoint_info import CheckpointInfo
from ...errors import CheckpointCorruptError, CheckpointNotFoundError
from ...model_state import ArraySpec
from ...storage.base import Storage
from ...storage.checksum import crc32
from .. import record
from ..base import OpenCheckpoint, Verification, reporting
from . import layout

_CHUNK = 8 << 20  # bytes handed out at once


class OrbaxDirectory(OpenCheckpoint):
    """A checkpoint in Orbax' form: see `base.OpenCheckpoint`."""

    def __init__(self, storage: Storage, path: str) -> None:
        """Read the record of a directory.

        Raises:
            CheckpointNotFoundError: If there is none at `path`.
            CheckpointCorruptError: If it is not a readable checkpoint.
            CheckpointSchemaError: If its record is newer than this version reads.
        """
        self.path = path
        if not storage.exists(path):
            raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}")
        with reporting(path):
            if not storage.is_directory(path):
                raise CheckpointCorruptError("it is no directory")
            self._step = layout.step_of(path)
            if not os.path.exists(os.path.join(self._step, layout.CONTENTS)):
                raise CheckpointCorruptError("its step is not finished")
            self.record = self._read_record()
            self.info = self._info(storage)

    def close(self) -> None:
        """Nothing is held open."""

    def _item(self, name: str, file: str = "") -> str:
        return os.path.join(self._step, name, file)

    def _read_record(self) -> dict[str, Any] | None:
        if not os.path.isdir(self._item(layout.RECORD)):
            return None
        with open(self._item(layout.RECORD, layout.RECORD_FILE), "rb") as file:
            return record.decode(json.loads(file.read()))

    def _info(self, storage: Storage) -> CheckpointInfo:
        status = storage.status(self.path)
        weights_only = not os.path.isdir(self._item(layout.CONFIG))
        if self.record is not None:
            return CheckpointInfo.from_record(
                self.record, path=self.path, size=status.size, weights_only=weights_only
            )
        return CheckpointInfo.of_stock_file(
            path=self.path,
            size=status.size,
            weights_only=weights_only,
            keras_version=None,
            saved_at=datetime.fromtimestamp(status.modified, timezone.utc),
        )

    @property
    def _stored(self) -> dict[str, Any]:
        if self.record is None:
            raise CheckpointCorruptError("it has no record, so nothing says which array is which")
        stored: dict[str, Any] = self.record["orbax"]["arrays"]
        return stored

    def _arrays(self) -> dict[str, ArraySpec]:
        return {
            name: ArraySpec(name, tuple(shape), _dtype(dtype))
            for name, (_, dtype, shape, _) in self._stored.items()
        }

    def _pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        expected, dtype, shape, place = self._stored[array.name]
        found = self._read(array.name, place)
        if list(found.shape) != shape or found.dtype != _dtype(dtype):
            raise CheckpointCorruptError(f"array {array.name!r} is not the one that was saved")
        data = np.ascontiguousarray(found).reshape(-1).view(np.uint8)
        if data.size and f"{crc32(data):08x}" != expected:
            raise CheckpointCorruptError(f"array {array.name!r} is damaged (checksum differs)")
        step = max(_CHUNK // max(found.dtype.itemsize, 1), 1) * found.dtype.itemsize
        for start in range(0, data.size, step):
            yield data[start : start + step]

    def _read(self, name: str, place: list[str]) -> "np.ndarray[Any, Any]":
        tensorstore = importlib.import_module("tensorstore")
        item, *keys = place
        spec = {
            "driver": "zarr3",
            "fill_missing_data_reads": False,  # else a chunk that is missing reads as zeros
            "kvstore": {
                "driver": "ocdbt",
                "base": f"file://{os.path.join(self._step, item)}/",
                "path": f"{'.'.join(keys)}/",
            },
        }
        try:
            opened = tensorstore.open(spec, open=True, read=True).result()
            read: np.ndarray[Any, Any] = opened.read().result()
        except Exception as error:
            raise CheckpointCorruptError(f"array {name!r} cannot be read: {error}") from error
        return read

    def _verify(self) -> Verification:
        if self.record is None:
            return Verification(has_checksums=False)
        for name, expected in self.record["orbax"]["files"].items():
            try:
                found = f"{layout.file_checksum(self._step, name):08x}"
            except FileNotFoundError:
                raise CheckpointCorruptError(f"its file {name!r} is missing") from None
            if found != expected:
                raise CheckpointCorruptError(f"its file {name!r} is damaged (checksum differs)")
        for array in self._arrays().values():
            for _ in self._pieces(array):
                pass
        for name in self._assets:
            self._read_asset(name)
        return Verification(has_checksums=True)

    @property
    def _assets(self) -> dict[str, str]:
        assets: dict[str, str] = {} if self.record is None else self.record["orbax"]["assets"]
        return assets

    def _read_asset(self, name: str) -> bytes:
        found = self._read(name, [layout.ASSETS, *name.split("/")]).tobytes()
        if f"{crc32(found):08x}" != self._assets[name]:
            raise CheckpointCorruptError(f"asset {name!r} is damaged (checksum differs)")
        return found

    def assets(self) -> list[str]:
        """Return the paths of the model's asset files."""
        return list(self._assets)

    def extract_assets(self, directory: str) -> None:
        """Put the asset files below `directory`."""
        for name in self._assets:
            path = os.path.abspath(os.path.join(directory, name))
            if not path.startswith(os.path.abspath(directory) + os.sep):
                raise CheckpointCorruptError(f"its asset {name!r} lies outside of it")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(self._read_asset(name))

    def local_copy(self, directory: str) -> str:
        """Return the path of the step, which Keras itself can load."""
        return self._step


def _dtype(name: str) -> "np.dtype[Any]":
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
