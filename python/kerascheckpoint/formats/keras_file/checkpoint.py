"""A `.keras` or `.h5` file that is open for reading, without Keras.

Files are not trusted: a size that a file claims is compared with the file before memory is
allocated for it.
"""

import abc
import contextlib
import functools
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, BinaryIO

import numpy as np

from ...checkpoint_info import CheckpointInfo
from ...errors import CheckpointCorruptError
from ...model_state import ArraySpec, ObjectGroup
from ...storage.checksum import crc32
from .. import record
from ..base import ForeignFileError, OpenCheckpoint, Verification, reporting
from . import array_places, hdf5_helper, record_scan, zip_member
from .file_slice import CHUNK, FileSlice
from .hdf5_structure import Hdf5Content, StoredArray
from .writer import ASSETS, CONFIG, WEIGHTS

_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of an HDF5 file


class KerasFile(OpenCheckpoint):
    """The common part of the three standard Keras files."""

    legacy = False
    weights_only = False

    def __init__(self, file: BinaryIO, path: str) -> None:
        """Read the record of an open file; the file is closed with this object.

        Raises:
            CheckpointCorruptError: If it is damaged or not a checkpoint.
            CheckpointSchemaError: If its record is newer than this version can read.
        """
        self.path = path
        self._file = file
        self._clean_up = contextlib.ExitStack()
        self._clean_up.callback(file.close)
        self._helper = self._clean_up.enter_context(hdf5_helper.shared())
        self._found: list[StoredArray] | None = None
        self._groups: list[ObjectGroup] | None = None
        try:
            with reporting(path):
                self.record, keras_version = self._read_record()
                self.info = self._info(keras_version)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._clean_up.close()

    @functools.cached_property
    def weights(self) -> FileSlice:
        """The bytes of the weights, an HDF5 file."""
        return FileSlice.whole(self._file)

    @abc.abstractmethod
    def _read_record(self) -> tuple[dict[str, Any] | None, str | None]:
        """Return the record and the version of Keras, each `None` if the file does not have it."""

    def _info(self, keras_version: str | None) -> CheckpointInfo:
        size = self._file.seek(0, os.SEEK_END)
        if self.record is not None:
            return CheckpointInfo.from_record(
                self.record, path=self.path, size=size, weights_only=self.weights_only
            )
        return CheckpointInfo.of_stock_file(
            path=self.path,
            size=size,
            saved_at=_modified(self._file),
            weights_only=self.weights_only,
            keras_version=keras_version,
        )

    def _examined(self, *, with_arrays: bool) -> Hdf5Content:
        found = self._helper.examine(self.weights, legacy=self.legacy, with_arrays=with_arrays)
        if with_arrays:
            self._found, self._groups = found.arrays, found.groups
        return found

    def _verify(self) -> Verification:
        fields = self.record
        image = (fields or {}).get("image")
        guards = array_places.guards(fields, self.weights.size)
        array_places.check_image(image, self.weights.size)
        total = array_places.compare_bytes(self.weights, guards, self._slot)
        if self.weights.crc not in (None, total):
            raise CheckpointCorruptError("its weights are damaged (checksum differs)")
        if image is not None and image["crc32"] == f"{total:08x}":
            return Verification(has_checksums=True)
        if self._found is None:
            try:
                self._examined(with_arrays=True)
            except CheckpointCorruptError as error:
                if image is None:
                    raise
                text = f"the structure around its arrays is damaged ({error})"
                raise CheckpointCorruptError(text) from None
        if fields is None:
            return Verification(has_checksums=self.weights.crc is not None)
        expected = array_places.from_record(fields, self.weights.size)
        array_places.compare_structure(self._found or [], guards, expected)
        return Verification(has_checksums=True, is_changed=image is not None)

    @property
    def _slot(self) -> tuple[int, int]:
        """Where the record lies in the weights, as (start, end); it has its own checksum."""
        return (0, 0)

    def groups(self) -> list[ObjectGroup]:
        """Return the objects of the model that have a group in the weights."""
        with reporting(self.path):
            if self._groups is None:
                self._examined(with_arrays=True)
            return list(self._groups or [])

    def _arrays(self) -> dict[str, ArraySpec]:
        if self._found is None:
            self._found = array_places.from_record(self.record, self.weights.size)
        if self._found is None:
            self._examined(with_arrays=True)
        return {array.name: array for array in self._found or []}

    def _pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        assert isinstance(array, StoredArray)
        step = max(CHUNK // array.dtype.itemsize, 1) * array.dtype.itemsize
        total = 0
        for start in range(0, array.nbytes, step):
            length = min(step, array.nbytes - start)
            piece = self.weights.read_at(array.offset + start, length)
            if len(piece) < length:
                raise CheckpointCorruptError(f"the file ends inside of {array.name!r}")
            total = crc32(piece, total)
            yield np.frombuffer(piece, np.uint8)
        guard = (self.record or {}).get("arrays", {}).get(array.name)
        if guard is not None and array.nbytes and guard[0] != f"{total:08x}":
            raise CheckpointCorruptError(f"array {array.name!r} is damaged (checksum differs)")

    def local_copy(self, directory: str) -> str:
        """Return a local path from which Keras itself can load exactly these weights."""
        path = os.path.join(directory, f"checkpoint{'' if self.weights_only else '.keras'}")
        path += ".weights.h5" if self.weights_only else ""
        link = _link_to(self._file)
        if link is not None:
            os.symlink(link, path)
            return path
        self._file.seek(0)
        with open(path, "wb") as copy:
            shutil.copyfileobj(self._file, copy, CHUNK)
        return path


class KerasModelFile(KerasFile):
    """A whole model, a `.keras` file."""

    def _read_record(self) -> tuple[dict[str, Any] | None, str | None]:
        self._archive: zipfile.ZipFile = zip_member.open_zip(self._file)
        self._clean_up.callback(self._archive.close)
        metadata = zip_member.read_metadata(self._archive)
        zip_member.stored_member(self._archive, WEIGHTS)
        found, version = metadata.get(record.KEY), metadata.get("keras_version")
        fields = None if found is None else record.decode(found)
        return fields, version if isinstance(version, str) else None

    @functools.cached_property
    def weights(self) -> FileSlice:
        """The bytes of the weights, an HDF5 file."""
        return zip_member.weights_in(self._archive, self._file)

    def _verify(self) -> Verification:
        zip_member.check_members(self._archive)
        return super()._verify()

    def config(self) -> str | None:
        """Return the text of the model's config."""
        with reporting(self.path):
            return self._archive.read(zip_member.stored_member(self._archive, CONFIG)).decode()

    def assets(self) -> list[str]:
        """Return the paths of the model's asset files, relative to the assets folder."""
        names = self._archive.namelist()
        return [name.removeprefix(f"{ASSETS}/") for name in names if name.startswith(f"{ASSETS}/")]

    def extract_assets(self, directory: str) -> None:
        """Copy the asset files into an existing directory."""
        with reporting(self.path):
            for name in self.assets():
                path = os.path.realpath(os.path.join(directory, name))
                if not path.startswith(os.path.join(os.path.realpath(directory), "")):
                    raise CheckpointCorruptError(f"its member {name!r} points outside of the file")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with self._archive.open(f"{ASSETS}/{name}") as content, open(path, "wb") as copy:
                    shutil.copyfileobj(content, copy, CHUNK)


class KerasWeightsFile(KerasFile):
    """The weights alone, a `.weights.h5` file."""

    weights_only = True

    def _read_record(self) -> tuple[dict[str, Any] | None, str | None]:
        scanned = record_scan.find(self.weights)
        if scanned is not None and scanned.is_as_written:
            if self.weights.size < scanned.size:
                raise CheckpointCorruptError(f"it should have {scanned.size} bytes")
            if self.weights.size == scanned.size:
                return scanned.fields, None
        try:
            found = self._examined(with_arrays=False)
        except CheckpointCorruptError as error:
            if scanned is None or scanned.fields is None:
                raise
            text = f"the structure around its arrays is damaged ({error})"
            raise CheckpointCorruptError(text) from None
        if found.record is None and scanned is not None and scanned.fields is not None:
            raise CheckpointCorruptError("HDF5 does not find its record")
        if found.record is None:
            return None, found.keras_version
        return record.decode(record.parsed(found.record)), found.keras_version

    @property
    def _slot(self) -> tuple[int, int]:
        image = (self.record or {}).get("image")
        if image is None:
            return (0, 0)
        start, length = image["record"]
        return start, start + length


class LegacyFile(KerasFile):
    """A whole model in Keras' legacy HDF5 format, which has no record."""

    legacy = True

    def _read_record(self) -> tuple[dict[str, Any] | None, str | None]:
        if self.weights.read_at(0, len(_SIGNATURE)) != _SIGNATURE:
            raise ForeignFileError("it is not an HDF5 file")
        found = self._examined(with_arrays=False)
        if found.record is not None:
            raise ForeignFileError("it holds weights, so its name should end in .weights.h5")
        return None, found.keras_version

    def _verify(self) -> Verification:
        return Verification(has_checksums=False)


def _modified(file: BinaryIO) -> datetime:
    """Return when a remote or local file was written last."""
    if (remote := getattr(file, "modified", None)) is not None:
        return datetime.fromtimestamp(remote, timezone.utc)
    return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, timezone.utc)


def _link_to(file: BinaryIO) -> str | None:
    """Return a path that leads to the open file itself, if the system has one."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        link = f"/proc/self/fd/{file.fileno()}"
    except OSError:
        return None
    return link if os.path.exists(link) else None
