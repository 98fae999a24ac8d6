"""Read checkpoint files without Keras and without trust: whatever is wrong becomes one error.

Nothing here allocates memory by a size that a file claims without comparing it with the file.
"""

import contextlib
import errno
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, BinaryIO

import h5py

from ...checkpoint_info import CheckpointInfo
from ...errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
)
from ...file_kind import MODEL_SUFFIX, WEIGHTS_SUFFIX
from .. import record
from . import hdf5_probe, record_scan
from .weights_member import FileSlice, ForeignFileError, check_form, stored_member
from .writer import METADATA, WEIGHTS

_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of an HDF5 file
TEXT_LIMIT = 1 << 28  # bytes of the largest metadata.json that is taken for one


@contextlib.contextmanager
def reporting(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names the file."""
    try:
        yield
    except CheckpointSchemaError as error:
        raise CheckpointSchemaError(f"cannot read {path!r}: {error}") from None
    except CheckpointCorruptError as error:
        raise type(error)(f"{path!r} is damaged: {error}") from None
    except CheckpointError:
        raise
    except zipfile.BadZipFile as error:
        raise CheckpointCorruptError(f"{path!r} is damaged or no zip file: {error}") from error
    except Exception as error:
        text = str(error) or type(error).__name__
        raise CheckpointCorruptError(f"{path!r} is damaged or no checkpoint: {text}") from error


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a checkpoint's file, once for all that is to be read: a run may replace it meanwhile.

    Raises:
        CheckpointNotFoundError: If there is no file at `path`.
        CheckpointCorruptError: If it is a directory or device.
        PermissionError: If it may not be read.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointNotFoundError(f"there is no checkpoint at {path!r}") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise CheckpointCorruptError(f"{path!r} is a link that leads in a circle") from None
    if not stat.S_ISREG(mode):
        raise CheckpointCorruptError(f"{path!r} is not a regular file")
    with open(path, "rb", buffering=0) as file:
        yield file


def read_info(path: str) -> CheckpointInfo:
    """Return what the file at `path` says of itself; its arrays are not read.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If it is not a readable checkpoint.
        CheckpointSchemaError: If its record is newer than this version reads.
    """
    with opened(path) as file:
        return read(file, path)[0]


def is_best(path: str) -> bool:
    """Tell whether the file at `path` says that it is the best model of its run."""
    try:
        return read_info(path).best is True
    except (CheckpointError, OSError):
        return False


def read_record(path: str) -> dict[str, Any] | None:
    """Return all fields of the file's record, or `None` for a stock Keras file."""
    with opened(path) as file:
        return read(file, path)[1]


def read(file: BinaryIO, path: str) -> tuple[CheckpointInfo, dict[str, Any] | None]:
    """Return what an open file says of itself, and all fields of its record if it has one."""
    with reporting(path):
        fields, keras_version = _read_fields(file, path)
        return _info(path, file, fields, keras_version), fields


def _read_fields(file: BinaryIO, path: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the fields of the record, if there is one, and the version of Keras, if it is said."""
    if path.endswith(MODEL_SUFFIX):
        return _read_zip(file)
    if not path.endswith(WEIGHTS_SUFFIX) and file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise ForeignFileError("it is no HDF5 file")
    plain = record_scan.find(file)
    if plain is not None and plain.is_as_written:
        if plain.size != os.fstat(file.fileno()).st_size:
            raise CheckpointCorruptError(f"it should have {plain.size} bytes")
        return plain.fields, None
    if plain is not None and not hdf5_probe.can_open(path):
        raise CheckpointCorruptError("the structure around its arrays is damaged")
    with h5py.File(FileSlice(file, 0, os.fstat(file.fileno()).st_size), "r") as h5_file:
        text = _attribute(h5_file, record.KEY)
        if text is None and plain is not None and plain.fields is not None:
            raise CheckpointCorruptError("its record is there and cannot be reached")
        if text is None:
            check_form(h5_file, legacy=not path.endswith(WEIGHTS_SUFFIX))
        version = _attribute(h5_file, "keras_version")
    return None if text is None else record.decode(_parsed(text)), version


def _read_zip(file: BinaryIO) -> tuple[dict[str, Any] | None, str | None]:
    with zipfile.ZipFile(file) as archive:
        metadata = read_metadata(archive)
        stored_member(archive, WEIGHTS)
    found = metadata.get(record.KEY)
    version = metadata.get("keras_version")
    fields = None if found is None else record.decode(found)
    return fields, version if isinstance(version, str) else None


def _attribute(h5_file: h5py.File, name: str) -> str | None:
    """Return the text in an attribute of the root, or `None` if there is no such attribute."""
    if name not in h5_file.attrs:
        return None
    attribute = h5_file.attrs.get_id(name)
    if attribute.shape != () or attribute.get_storage_size() > TEXT_LIMIT:
        raise CheckpointCorruptError(f"its attribute {name!r} is not one text")
    text = h5_file.attrs[name]
    if not isinstance(text, str):
        raise CheckpointCorruptError(f"its attribute {name!r} is no text")
    return text


def _info(
    path: str, file: BinaryIO, fields: dict[str, Any] | None, keras_version: str | None
) -> CheckpointInfo:
    status = os.fstat(file.fileno())
    weights_only = path.endswith(WEIGHTS_SUFFIX)
    if fields is not None:
        return CheckpointInfo.from_record(
            fields, path=path, size=status.st_size, weights_only=weights_only
        )
    nothing = dict.fromkeys(
        ("epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "backend")
    )
    return CheckpointInfo(
        path=path,
        metrics={},
        saved_at=datetime.fromtimestamp(status.st_mtime, timezone.utc),
        size=status.st_size,
        weights_only=weights_only,
        keras_version=keras_version,
        schema=None,
        **nothing,
    )


def read_metadata(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the content of a `.keras` file's `metadata.json`."""
    member = stored_member(archive, METADATA)
    if member.file_size > TEXT_LIMIT:
        raise CheckpointCorruptError(f"{METADATA} claims {member.file_size} bytes")
    metadata = _parsed(archive.read(member))
    if not isinstance(metadata, dict):
        raise CheckpointCorruptError(f"{METADATA} is no JSON object")
    return metadata


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"its record is no JSON ({error})") from None
