"""Take over a file that Keras itself wrote, and add our record to it."""

import shutil
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py

from ...file_kind import MODEL_SUFFIX, WEIGHTS_SUFFIX
from .. import record
from . import reader, weights_member
from .writer import METADATA, array_checksum_entry

_CHUNK = 8 << 20


def add_record(fd: int, path: str, fields: Mapping[str, Any]) -> None:
    """Copy the file at `path` to `fd`, with a record made of `fields` and of its arrays.

    A legacy `.h5` model is copied as it is.
    """
    with open(fd, "r+b", closefd=False) as target:
        if path.endswith(MODEL_SUFFIX):
            _copy_zip(path, target, record.encode(dict(fields) | _guards(path)))
            return
        if path.endswith(WEIGHTS_SUFFIX):
            text = record.encode(dict(fields) | _guards(path))
            with h5py.File(path, "r+") as h5_file:
                h5_file.attrs[record.KEY] = text
        with open(path, "rb") as source:
            shutil.copyfileobj(source, target, _CHUNK)


def _guards(path: str) -> dict[str, Any]:
    with reader.opened(path) as file, reader.reporting(path):
        region = weights_member.region_of(file, path)
        return {
            "arrays": {
                array.name: array_checksum_entry(
                    weights_member.checksum_of(region, array.offset, array.offset + array.nbytes),
                    array.offset,
                    array.nbytes,
                )
                for array in weights_member.stored_arrays(region)
            }
        }


def _copy_zip(path: str, target: Any, text: str) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            if member.filename == METADATA:
                copy.writestr(METADATA, record.embed(reader.read_metadata(source), text))
                continue
            with source.open(member) as content, copy.open(member, "w") as place:
                shutil.copyfileobj(content, place, _CHUNK)
