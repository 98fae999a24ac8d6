"""Restore a model from a checkpoint: load everything, or raise an error and change nothing."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from .. import location
from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointMismatchError
from ..formats.base import OpenCheckpoint, reporting
from ..formats.forms import form_of, open_checkpoint
from ..keras_seam.store import KerasMustHandleError
from ..notify import warn
from ..snapshot import model_objects
from ..snapshot.compiled import optimizer_name
from ..state.base import stored_state
from ..state.random import RandomState
from ..storage.places import storage_for
from ..verify import warn_of_changes
from . import assets, optimizers
from .comparison import StoredState
from .learning_rate import OtherRate, match_rate
from .transaction import Part, StatePart, load_all_or_nothing
from .unbuilt import UnbuiltObjects
from .variables import KerasLoader, ModelVariables


def restore(
    model: Any,
    path: "str | os.PathLike[str]",
    storage_options: Mapping[str, Any] | None = None,
) -> CheckpointInfo:
    """Restore `model` from the file at `path`: see `kerascheckpoint.restore_checkpoint`."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a Keras model. Received: model={model!r}.")
    path = location.absolute(path)
    storage = storage_for(path, storage_options, argument="path")
    with open_checkpoint(path, storage.fetching()) as checkpoint:
        warn_of_changes(checkpoint)
        difference = restore_open(model, checkpoint)
        if difference is not None:
            warn(f"{path!r} has no optimizer like the model's: {difference}. {difference.advice}")
        return checkpoint.info


def restore_open(model: Any, checkpoint: OpenCheckpoint) -> OtherRate | None:
    """Verify an open checkpoint and restore `model` from it.

    Returns:
        How the learning rates differ, if only one of the two follows a schedule.

    Raises:
        CheckpointCorruptError: If it is damaged.
        CheckpointMismatchError: If the model differs; the message names the first difference.
    """
    path = checkpoint.path
    if not form_of(path).carries_record:
        raise CheckpointMismatchError(
            f"{path!r} is a legacy .h5 model, which holds no state to restore; load it with "
            "keras.saving.load_model()"
        )
    checkpoint.verify()
    with _naming(path):
        difference = _restore(model, checkpoint)
    _warn_of_merged_kernels(model)
    return difference


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Add the path to the error about a file that does not fit."""
    try:
        yield
    except CheckpointMismatchError as error:
        raise CheckpointMismatchError(f"cannot restore {path!r}: {error}") from error.__cause__


def _restore(model: Any, checkpoint: OpenCheckpoint) -> OtherRate | None:
    before = UnbuiltObjects(optimizers.unbuilt(model))
    try:
        return _build_and_load(model, checkpoint)
    except BaseException:
        before.put_back()
        raise


def _build_and_load(model: Any, checkpoint: OpenCheckpoint) -> OtherRate | None:
    record = checkpoint.record or {}
    arrays = checkpoint.arrays()
    stored_bytes = sum(array.nbytes for array in arrays.values())
    optimizers.build_model(model, record.get("build_config"), stored_bytes)
    _compare_optimizers(record.get("optimizer"), optimizer_name(model))
    optimizers.build_optimizers(model, arrays)
    with contextlib.ExitStack() as stack:
        others = [*_assets(model, checkpoint, stack), *_states(model, checkpoint)]
        matched = match_rate(arrays, checkpoint, model)
        stored = StoredState.from_file(matched, checkpoint, model)
        try:
            variables = ModelVariables(model, stored)
            load_all_or_nothing(
                [variables, *others] if variables.keeps_all else [*others, variables]
            )
        except KerasMustHandleError:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            load_all_or_nothing([KerasLoader(model, stored, directory), *others])
    return matched.difference


def _compare_optimizers(stored: str | None, own: str | None) -> None:
    if None not in (stored, own) and stored != own:
        raise CheckpointMismatchError(
            f"the file holds the state of the optimizer {stored}, the model has {own}"
        )


def _assets(model: Any, checkpoint: OpenCheckpoint, stack: contextlib.ExitStack) -> Iterator[Part]:
    if checkpoint.assets():
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        yield assets.Assets(model, checkpoint, directory)


def _states(model: Any, checkpoint: OpenCheckpoint) -> Iterator[Part]:
    """Yield the states that are restored together with the weights, if the file has them."""
    for one in (RandomState(model),):
        with reporting(checkpoint.path):
            state = stored_state(one, checkpoint.record or {})
        if state is not None:
            yield StatePart(one, state)


def _warn_of_merged_kernels(model: Any) -> None:
    """Warn of layers with LoRA, which Keras does not store exactly.

    It stores the kernel with the adapters' product added, and resets the adapters on loading.
    """
    names = [
        s.target.name
        for s in model_objects.saveables_or_none(model)
        if getattr(s.target, "lora_enabled", False)
    ]
    if names:
        warn(
            f"layer {names[0]!r} has LoRA, and Keras stores its kernel with the adapters merged: "
            "the model computes the same function, but training does not continue exactly as it "
            "would have without the interruption"
        )
