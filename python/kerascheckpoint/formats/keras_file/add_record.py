"""Copy a file that Keras wrote and add our record to it."""

import contextlib
import shutil
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py

from ...file_kind import MODEL_SUFFIX, WEIGHTS_SUFFIX
from .. import record
from . import zip_member
from .file_slice import CHUNK, FileSlice
from .hdf5_structure import examine
from .writer import METADATA, array_checksum_entry, array_specs


def add_record(fd: int, path: str, fields: Mapping[str, Any]) -> None:
    """Copy the file at `path` to `fd`, with a record of `fields` and of the file's arrays.

    A legacy `.h5` model is copied unchanged.
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
            shutil.copyfileobj(source, target, CHUNK)


def _guards(path: str) -> dict[str, Any]:
    """Return the record's fields with the checksums of a file that Keras has just written."""
    with open(path, "rb", buffering=0) as file, contextlib.ExitStack() as stack:
        weights = FileSlice.whole(file)
        if path.endswith(MODEL_SUFFIX):
            archive = stack.enter_context(zip_member.open_zip(file))
            weights = zip_member.weights_in(archive, file)
        found = examine(weights, weights.size, legacy=False, with_arrays=True).arrays or []
        return {
            "arrays": {
                array.name: array_checksum_entry(
                    weights.checksum(array.offset, array.offset + array.nbytes),
                    array.offset,
                    array.nbytes,
                )
                for array in found
            },
            "specs": array_specs(found),
        }


def _copy_zip(path: str, target: Any, text: str) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            if member.filename == METADATA:
                copy.writestr(METADATA, record.embed(zip_member.read_metadata(source), text))
                continue
            with source.open(member) as content, copy.open(member, "w") as place:
                shutil.copyfileobj(content, place, CHUNK)
