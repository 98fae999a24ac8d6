"""Put a checkpoint's state into a model: all of it, or an error and nothing."""

import dataclasses
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import keras
import numpy as np

from . import random_state, reader, weights
from .archive import ASSETS
from .checkpoint_info import CheckpointInfo
from .errors import CheckpointMismatchError
from .file_template import LEGACY_SUFFIX, MODEL_SUFFIX, suffix_of
from .h5_layout import ArraySpec
from .keras_compat import StoreEntry, UnknownKerasError
from .notify import warn
from .snapshot import Snapshotter
from .verify import verify_open
from .warm_memory import WarmMemory
from .weights import Region, StoredArray

_OPTIMIZER = "optimizer/"


def restore_checkpoint(model: Any, path: "str | os.PathLike[str]") -> CheckpointInfo:
    """Put weights, optimizer state and random state of a checkpoint into `model`.

    An optimizer that is not built yet is built first. The file is verified and compared with the
    model before anything is changed.

    Args:
        model: A built Keras model of the same architecture.
        path: A `.keras` or `.weights.h5` file.

    Returns:
        What the file says of itself; its `epoch` is the next `initial_epoch` of `fit`.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointCorruptError: If the file is damaged.
        CheckpointMismatchError: If the model differs; the text names the first difference.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if suffix_of(path) == LEGACY_SUFFIX:
        raise CheckpointMismatchError(
            f"{path!r} is a legacy .h5 model, which holds no state to restore; load it with "
            "keras.saving.load_model()"
        )
    with reader.opened(path) as file:
        info, record = verify_open(file, path)
        record = record or {}
        _build(model, record)
        if "random" in record:
            random_state.check(model, record["random"])
        try:
            _restore_arrays(model, file, path)
        except UnknownKerasError:
            model.load_weights(path)
    if "random" in record:
        random_state.restore(model, record["random"])
    return info


def _build(model: Any, record: dict[str, Any]) -> None:
    if not model.built and record.get("build_config"):
        model.build_from_config(record["build_config"])
        if not model.built:
            _call_on_zeros(model, record["build_config"])
    if not model.built:
        raise CheckpointMismatchError(
            "the model is not built, so there is nothing yet to restore into: call it on a batch, "
            "or model.build(input_shape), first"
        )
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _call_on_zeros(model: Any, build_config: dict[str, Any]) -> None:
    """Build a subclassed model, which has no `build` of its own, by a call on one sample."""
    shape = build_config.get("input_shape")
    if isinstance(shape, list | tuple) and all(isinstance(n, int | None) for n in shape):
        model(keras.ops.zeros([1 if n is None else n for n in shape]))


def _restore_arrays(model: Any, file: BinaryIO, path: str) -> None:
    snapshotter = Snapshotter()
    before = snapshotter.capture(model, weights_only=True)
    places = snapshotter.places(model)
    with weights.weights_of(file, path) as (region, h5_file):
        found = {array.name: array for array in weights.stored_arrays(region, h5_file)}
    stored = _comparable(found, before.specs, getattr(model, "optimizer", None))
    before, _ = WarmMemory().detach(before)
    try:
        _load(places, stored, lambda array: _read(region, array))
        if path.endswith(MODEL_SUFFIX):
            _load_assets(snapshotter.places(model, assets=True), file)
    except Exception as error:
        _load(places, before.arrays, lambda array: array)
        raise CheckpointMismatchError(
            f"{path!r} does not fit the model, which is as it was before: {error}"
        ) from error


def _comparable(
    stored: dict[str, StoredArray], specs: tuple[ArraySpec, ...], optimizer: Any
) -> dict[str, StoredArray]:
    """Return the stored arrays that the model takes, if they are exactly the ones it has."""
    if optimizer is None and any(name.startswith(_OPTIMIZER) for name in stored):
        warn("the model has no optimizer: the optimizer's state in the file was left out")
        stored = {name: a for name, a in stored.items() if not name.startswith(_OPTIMIZER)}
    for spec in specs:
        array = stored.get(spec.name)
        if array is None:
            raise CheckpointMismatchError(f"the model has {spec.name!r}, which the file lacks")
        if array.shape != spec.shape:
            raise CheckpointMismatchError(
                f"{spec.name!r} has shape {array.shape} in the file and {spec.shape} in the model"
            )
        if not _fits(array.dtype, spec.dtype):
            raise CheckpointMismatchError(
                f"{spec.name!r} has dtype {array.dtype} in the file and {spec.dtype} in the model"
            )
    extra = sorted(set(stored) - {spec.name for spec in specs})
    if extra:
        raise CheckpointMismatchError(f"the file holds {extra[0]!r}, which the model lacks")
    for spec in specs:
        if stored[spec.name].dtype.kind == "V":  # HDF5 knows bfloat16 only as two opaque bytes
            stored[spec.name] = dataclasses.replace(stored[spec.name], dtype=spec.dtype)
    return stored


def _fits(stored: "np.dtype[Any]", own: "np.dtype[Any]") -> bool:
    """Tell whether an array of one dtype can take the place of another's without loss.

    Backends count in different integers (TensorFlow's int64 iterations are JAX' int32), and HDF5
    stores what it does not know as opaque bytes.
    """
    if stored.kind == "V":
        return stored.itemsize == own.itemsize
    return stored == own or (stored.kind in "iu" and own.kind in "iu")


def _load(places: list[tuple[Any, str]], arrays: Mapping[str, Any], read: Any) -> None:
    """Give each object its arrays back, through its own `load_own_variables`."""
    below: dict[str, dict[str, Any]] = {variables: {} for _, variables in places}
    for name, array in arrays.items():
        variables = name
        while variables not in below:  # the object's own key may have slashes, too
            variables = variables.rpartition("/")[0]
        below[variables][name[len(variables) + 1 :]] = array
    for target, variables in places:
        target.load_own_variables(
            StoreEntry({key: read(array) for key, array in below[variables].items()})
        )


def _read(region: Region, array: StoredArray) -> Any:
    memory = np.empty(array.nbytes, np.uint8)
    view = memoryview(memory)  # type: ignore[arg-type]
    region.seek(array.offset)
    while view:  # one read gives 2 GiB at most
        done = region.readinto(view)
        if not done:
            raise EOFError(f"the file ends inside of {array.name!r}")
        view = view[done:]
    return memory.view(array.dtype).reshape(array.shape)


def _load_assets(owners: list[tuple[Any, str]], file: BinaryIO) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.startswith(f"{ASSETS}/")]
            archive.extractall(directory, names)
        for target, place in owners:
            folder = os.path.join(directory, ASSETS, *place.split("/"))
            if os.path.isdir(folder) and hasattr(target, "load_assets"):
                target.load_assets(folder)
