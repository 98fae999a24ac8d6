"""Put a checkpoint's state into a model: all of it, or an error and nothing."""

import dataclasses
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import keras
import numpy as np

from . import random_state, reader, training_state, weights
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

_OPTIMIZER, _VARIABLES = "optimizer/", "vars/"  # where a model's optimizer is stored


def restore(model: Any, path: "str | os.PathLike[str]") -> CheckpointInfo:
    """Restore `model` from the file at `path`: see `kerascheckpoint.restore_checkpoint`."""
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
        _compare_optimizers(record.get("optimizer"), training_state.optimizer_name(model))
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


def _compare_optimizers(stored: str | None, own: str | None) -> None:
    if None not in (stored, own) and stored != own:
        raise CheckpointMismatchError(
            f"the file holds the state of the optimizer {stored}, the model has {own}"
        )


def _call_on_zeros(model: Any, build_config: dict[str, Any]) -> None:
    """Build a subclassed model, which has no `build` of its own, by a call on one sample."""
    shape = build_config.get("input_shape")
    if isinstance(shape, list | tuple) and all(isinstance(n, int | None) for n in shape):
        model(keras.ops.zeros([1 if n is None else n for n in shape]))


def _restore_arrays(model: Any, file: BinaryIO, path: str) -> None:
    snapshotter = Snapshotter()
    before = snapshotter.capture(model, weights_only=True)
    places = snapshotter.places(model)
    region = weights.region_of(file, path)
    found = {array.name: array for array in weights.stored_arrays(region)}
    optimizer: Any = getattr(model, "optimizer", None)
    begins_anew = _begins_anew(optimizer, found, region)
    stored = _comparable(found, before.specs, optimizer, begins_anew=begins_anew)
    before, _ = WarmMemory().detach(before, {})
    try:
        if begins_anew:
            for name in [name for name in stored if name.startswith(_OPTIMIZER)]:
                index = int(name.removeprefix(_OPTIMIZER + _VARIABLES))
                optimizer.variables[index].assign(_read(region, stored.pop(name)))
        others = [place for place in places if place[0] is not optimizer or not begins_anew]
        _load(others, stored, lambda array: _read(region, array))
        if path.endswith(MODEL_SUFFIX):
            _load_assets(snapshotter.places(model, assets=True), file)
    except Exception as error:
        _load(places, before.arrays, lambda array: array)
        raise CheckpointMismatchError(
            f"{path!r} does not fit the model, which is as it was before: {error}"
        ) from error


def _begins_anew(optimizer: Any, found: Mapping[str, StoredArray], region: Region) -> bool:
    """Tell whether the file lacks state of the optimizer because there was none yet.

    It was saved before the first step, and before Keras made what an optimizer keeps for each
    variable; that is at its first values as well in an optimizer that has made no step.
    """
    stock = keras.optimizers.Optimizer.save_own_variables
    if getattr(type(optimizer), "save_own_variables", None) is not stock:
        return False
    if not any(name.startswith(_OPTIMIZER) for name in found):
        warn("the file holds no optimizer's state: that of the model stays as it is")
        return True
    names = {f"{_OPTIMIZER}{_VARIABLES}{index}" for index in range(len(optimizer.variables))}
    iterations = found.get(f"{_OPTIMIZER}{_VARIABLES}0")
    if names <= found.keys() or iterations is None or iterations.shape != ():
        return False
    return int(_read(region, iterations)) == int(optimizer.iterations) == 0


def _comparable(
    stored: dict[str, StoredArray],
    specs: tuple[ArraySpec, ...],
    optimizer: Any,
    *,
    begins_anew: bool,
) -> dict[str, StoredArray]:
    """Return the stored arrays that the model takes, if they are exactly the ones it has."""
    if optimizer is None and any(name.startswith(_OPTIMIZER) for name in stored):
        warn("the model has no optimizer: the optimizer's state in the file was left out")
        stored = {name: a for name, a in stored.items() if not name.startswith(_OPTIMIZER)}
    if begins_anew:
        absent = {s.name for s in specs if s.name.startswith(_OPTIMIZER)} - stored.keys()
        specs = tuple(spec for spec in specs if spec.name not in absent)
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
