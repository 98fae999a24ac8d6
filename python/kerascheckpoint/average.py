"""Average the weights of checkpoints ("model soups"), array by array, without Keras."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from . import location
from .checkpoint_info import CheckpointInfo
from .errors import CheckpointMismatchError
from .file_kind import MODEL_SUFFIX, suffix_of
from .formats.base import OpenCheckpoint, Target
from .formats.forms import form_of, open_checkpoint, reading_many
from .formats.orbax.form import ORBAX
from .model_state import ArraySpec, ModelSnapshot
from .notify import warn
from .storage.places import storage_for

_OPTIMIZER = "optimizer"  # the group that holds the optimizer's state in every Keras file


def average_checkpoints(
    paths: "Iterable[str | os.PathLike[str]]",
    output: "str | os.PathLike[str]",
    storage_options: Mapping[str, Any] | None = None,
) -> CheckpointInfo:
    """Write a checkpoint that holds the mean of the weights of other checkpoints.

    Floating-point weights are averaged in float64. So are moving statistics such as those of
    `BatchNormalization`; run the new model over training data if they must fit it exactly.
    Integers, flags, seeds, config and assets come from the newest file. Optimizer state is left
    out, with a `CheckpointWarning`, unless there is only one file. A `.keras` average stays
    compiled, with a new optimizer; Keras warns that it skips the old one's variables when loading.
    Only one array is in memory at a time.

    Args:
        paths: Checkpoints of one model, all with the same suffix.
        output: Where to write the average, with the suffix of `paths`. For `.orbax` directories it
            may also be a `.keras` or `.weights.h5` file.
        storage_options: For URLs, what fsspec needs to reach them.

    Returns:
        The info of the new file, which names its sources. Training cannot resume from it.

    Raises:
        TypeError: If `paths` is one path instead of a list.
        ValueError: If there is no path, or the suffixes differ.
        CheckpointMismatchError: If the models differ; the message names the first difference.
        CheckpointCorruptError: If a file is damaged.
        CheckpointWriteError: If the new file cannot be written.
    """
    target = location.absolute(output)
    sources = _absolute(paths)
    _check_suffixes(sources, target)
    place = _storage(target, storage_options, "output")
    form_of(target).check(target, place)
    with _opened(sources, storage_options) as opened:
        _write_mean(opened, Target(target, place))
    with open_checkpoint(target, place) as written:
        return written.info


def _absolute(paths: "Iterable[str | os.PathLike[str]]") -> list[str]:
    if isinstance(paths, str | os.PathLike):
        raise TypeError(f"paths must be a list of paths, not one path. Received: paths={paths!r}.")
    return [location.absolute(path) for path in paths]


@contextlib.contextmanager
def _opened(
    paths: Iterable[str], options: Mapping[str, Any] | None
) -> Iterator[list[OpenCheckpoint]]:
    with reading_many(), contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(open_checkpoint(path, _storage(path, options, "paths")))
            for path in paths
        ]


def _write_mean(opened: Sequence[OpenCheckpoint], target: Target) -> None:
    newest = max(opened, key=lambda checkpoint: checkpoint.info.age_key)
    specs = _common_arrays(opened, newest)
    with tempfile.TemporaryFile() as memory:
        arrays = {spec.name: _mapped(memory, _mean(opened, newest, spec)) for spec in specs}
        content = _snapshot(newest, specs, arrays, target.path)
        form_of(target.path).writer().save(target, content, _fields(opened, newest))


def _storage(path: str, options: Mapping[str, Any] | None, argument: str) -> Any:
    return storage_for(path, options if location.is_url(path) else None, argument=argument)


def _check_suffixes(sources: Sequence[str], target: str) -> None:
    if not sources:
        raise ValueError("paths must name at least one checkpoint to average. Received: none.")
    form = form_of(target) if suffix_of(target) else None
    if form is None or not form.carries_record:
        raise ValueError(
            f"output must end in .keras, .weights.h5 or .orbax. Received: output={target!r}."
        )
    for path in sources:
        if form_of(path) != form_of(sources[0]) or not _can_become(path, target):
            raise ValueError(
                f"output must have the same suffix as the files to average. Received: "
                f"output={target!r} for {path!r}."
            )


def _can_become(source: str, target: str) -> bool:
    """Tell whether the average of checkpoints like `source` can be written as `target`."""
    return form_of(source) in (form_of(target), ORBAX)


def _common_arrays(opened: Sequence[OpenCheckpoint], newest: OpenCheckpoint) -> list[ArraySpec]:
    """Return the arrays to average; raise unless all checkpoints have the same ones."""
    reference = newest.arrays()
    if len(opened) == 1:
        return list(reference.values())
    for other in opened:
        arrays = other.arrays()
        for name in sorted(reference.keys() | arrays.keys()):
            a, b = reference.get(name), arrays.get(name)
            if _is_of_optimizer(name) or (a and b and (a.shape, a.dtype) == (b.shape, b.dtype)):
                continue
            raise CheckpointMismatchError(
                f"the models differ: {name!r} is {_shown(a)} in {newest.path!r} and {_shown(b)} in "
                f"{other.path!r}"
            )
    if any(_is_of_optimizer(name) for name in reference):
        warn("the optimizer's state is left out, as averaging it makes no sense")
    return [spec for name, spec in reference.items() if not _is_of_optimizer(name)]


def _is_of_optimizer(name: str) -> bool:
    return name.startswith(f"{_OPTIMIZER}/")


def _shown(array: ArraySpec | None) -> str:
    return "missing" if array is None else f"{array.dtype} of shape {array.shape}"


def _mean(
    opened: Sequence[OpenCheckpoint], newest: OpenCheckpoint, spec: ArraySpec
) -> "np.ndarray[Any, Any]":
    kind = spec.dtype.kind
    if kind in "biu" or (kind == "V" and spec.dtype.isbuiltin == 1):
        return newest.read(spec)
    total: np.ndarray[Any, Any] = np.zeros(spec.shape, np.complex128 if kind == "c" else np.float64)
    for checkpoint in opened:
        total += checkpoint.read(checkpoint.arrays()[spec.name]).astype(total.dtype)
    return np.asarray(total / len(opened)).astype(spec.dtype)


def _mapped(file: Any, array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Move an array into a temporary file and return it mapped, so that it needs no memory."""
    if not array.nbytes:
        return array
    offset = file.seek(0, os.SEEK_END)
    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    file.flush()
    mapped: np.ndarray[Any, Any] = np.memmap(file, np.uint8, "r", offset, (array.nbytes,))
    view: np.ndarray[Any, Any] = mapped.view(array.dtype)
    return view.reshape(array.shape)


def _snapshot(
    newest: OpenCheckpoint, specs: Sequence[ArraySpec], arrays: Mapping[str, Any], target: str
) -> ModelSnapshot:
    groups = tuple(
        group
        for group in newest.groups()
        if any(spec.name.startswith(f"{_OPTIMIZER}/") for spec in specs)
        or (group.path != _OPTIMIZER and not _is_of_optimizer(group.path))
    )
    own = tuple(ArraySpec(spec.name, spec.shape, spec.dtype) for spec in specs)
    tree = {name: keys for name, keys in newest.tree().items() if name in arrays}
    if newest.config() is None and target.endswith(MODEL_SUFFIX):
        raise ValueError(
            f"{newest.path!r} holds weights and no model: end output in .weights.h5. Received: "
            f"output={target!r}."
        )
    if newest.config() is None or form_of(target).weights_only:
        return ModelSnapshot(groups, arrays, own, tree=tree)
    metadata = {
        "keras_version": newest.info.keras_version,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    assets = dict(_assets(newest))
    return ModelSnapshot(groups, arrays, own, newest.config(), metadata, assets, tree)


def _assets(checkpoint: OpenCheckpoint) -> Iterator[tuple[str, bytes]]:
    if not checkpoint.assets():
        return
    with tempfile.TemporaryDirectory() as directory:
        checkpoint.extract_assets(directory)
        for name in checkpoint.assets():
            with open(os.path.join(directory, name), "rb") as file:
                yield name, file.read()


def _fields(opened: Sequence[OpenCheckpoint], newest: OpenCheckpoint) -> dict[str, Any]:
    info = newest.info
    return {
        "epoch": info.epoch or 0,
        "batch": info.batch or 0,
        "step": info.step or 0,
        "metrics": {},
        "reason": info.reason or "train_end",
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "keras_version": info.keras_version,
        "backend": info.backend,
        "sources": [
            {
                "name": os.path.basename(checkpoint.path),
                "epoch": checkpoint.info.epoch,
                "step": checkpoint.info.step,
                "saved_at": checkpoint.info.saved_at.isoformat(),
            }
            for checkpoint in opened
        ],
    }
