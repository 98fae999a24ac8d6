"""Copy a file that Keras wrote and add our record to it."""

import contextlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from ...file_kind import MODEL_SUFFIX, WEIGHTS_SUFFIX
from .. import record
from . import zip_member
from .file_slice import CHUNK, FileSlice
from .hdf5_structure import examine
from .writer import METADATA, WEIGHTS, array_checksum_entry, array_specs


def add_arrays(path: str, arrays: "Mapping[str, np.ndarray[Any, Any]]") -> None:
    """Add arrays to the weights in the file at `path`; a legacy `.h5` model takes none."""
    if not arrays:
        return
    if path.endswith(WEIGHTS_SUFFIX):
        with h5py.File(path, "r+") as h5_file:
            for name, array in arrays.items():
                h5_file.create_dataset(name, data=array)
    elif path.endswith(MODEL_SUFFIX):
        with tempfile.TemporaryDirectory() as directory:
            copy, weights = (os.path.join(directory, name) for name in ("copy", WEIGHTS))
            with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
                source.extract(WEIGHTS, directory)
                add_arrays(weights, arrays)
                target.write(weights, WEIGHTS)
                for member in source.infolist():
                    if member.filename != WEIGHTS:
                        _copy_member(source, target, member)
            shutil.copyfile(copy, path)


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
            _copy_member(source, copy, member)


def _copy_member(source: zipfile.ZipFile, target: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with source.open(member) as content, target.open(member, "w") as place:
        shutil.copyfileobj(content, place, CHUNK)
