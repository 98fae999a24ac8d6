"""Small checkpoints without Keras: written by our own writer, read by h5py alone, and records."""

import io
import zipfile
from typing import Any

import h5py
import numpy as np

from kerascheckpoint.formats import forms
from kerascheckpoint.formats.keras_file import writer
from kerascheckpoint.formats.keras_file.writer import KerasFileWriter
from kerascheckpoint.model_state import ArraySpec, ModelSnapshot, ObjectGroup
from kerascheckpoint.storage.local import LocalStorage

SUFFIXES = (".keras", ".weights.h5")
FIELDS = {
    "epoch": 1,
    "batch": 0,
    "step": 4,
    "metrics": {"loss": 0.5},
    "monitor": "loss",
    "mode": "min",
    "value": 0.5,
    "best": True,
    "reason": "epoch",
    "saved_at": "2026-01-02T03:04:05+00:00",
    "epochs": [0],
    "history": {"loss": [0.5]},
    "runs": ["one"],
    "template": "x",
}


def content_of(arrays: dict[str, Any], *, model: bool, **more: Any) -> ModelSnapshot:
    """Return what a file of these arrays holds; `model` tells a `.keras` from weights."""
    paths = dict.fromkeys(name.rpartition("vars/")[0].rstrip("/") for name in arrays)
    more = {"config": "{}", "metadata": {"keras_version": "3.0.0"}} | more if model else more
    return ModelSnapshot(
        groups=tuple(ObjectGroup(path, path.rpartition("/")[2] or None) for path in paths),
        arrays=arrays,
        specs=tuple(ArraySpec(name, array.shape, array.dtype) for name, array in arrays.items()),
        **more,
    )


def write(
    path: Any,
    arrays: dict[str, Any],
    *,
    file_writer: KerasFileWriter | None = None,
    fields: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    """Publish a checkpoint of `arrays` at `path`."""
    content = content_of(arrays, model=str(path).endswith(".keras"), **more)
    with LocalStorage().atomic_write(str(path)) as staged:
        (file_writer or KerasFileWriter()).write(staged.fd, content, FIELDS | (fields or {}))


def read(path: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint as h5py alone reads them."""
    file: Any = path
    if str(path).endswith(".keras"):
        with zipfile.ZipFile(path) as zip_file:
            file = io.BytesIO(zip_file.read(writer.WEIGHTS))
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(file, "r") as h5_file:
        h5_file.visititems(visit)
    return found


def places_of(path: Any) -> dict[str, tuple[int, int]]:
    """Return where each array's bytes lie in a file, as (start, length)."""
    opened: Any = forms.open_checkpoint(path)
    with opened as checkpoint:
        start = checkpoint.weights.start
        return {
            name: (start + array.offset, array.nbytes)
            for name, array in checkpoint.arrays().items()
        }


def read_record(path: Any) -> dict[str, Any]:
    """Return all fields of the record at a path; none for a stock Keras file."""
    with forms.open_checkpoint(path) as checkpoint:
        return checkpoint.record or {}
