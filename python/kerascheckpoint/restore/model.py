"""Put a checkpoint's state into a model: all of it, or an error and nothing."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from .. import location
from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointMismatchError
from ..file_kind import LEGACY_SUFFIX, MODEL_SUFFIX, suffix_of
from ..formats.keras_file import reader, weights_member
from ..formats.keras_file.verify import verify_open
from ..keras_seam.store import KerasMustHandleError
from ..notify import warn
from ..snapshot import model_objects
from ..snapshot.compiled import optimizer_name
from ..state.base import Part
from ..state.random import RandomState
from . import assets, optimizers
from .comparison import StoredState
from .transaction import exchange
from .variables import KerasLoader, ModelVariables


def restore(model: Any, path: "str | os.PathLike[str]") -> CheckpointInfo:
    """Restore `model` from the file at `path`: see `kerascheckpoint.restore_checkpoint`."""
    path = location.absolute(path)
    if suffix_of(path) == LEGACY_SUFFIX:
        raise CheckpointMismatchError(
            f"{path!r} is a legacy .h5 model, which holds no state to restore; load it with "
            "keras.saving.load_model()"
        )
    with reader.opened(path) as file:
        info, record = verify_open(file, path)
        with _naming(path):
            _restore(model, file, path, record or {})
    _warn_of_merged_kernels(model)
    return info


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Let the error of a file that does not fit say which file that is."""
    try:
        yield
    except CheckpointMismatchError as error:
        raise CheckpointMismatchError(f"cannot restore {path!r}: {error}") from error.__cause__


def _restore(model: Any, file: BinaryIO, path: str, record: dict[str, Any]) -> None:
    optimizers.build_model(model, record.get("build_config"))
    _compare_optimizers(record.get("optimizer"), optimizer_name(model))
    region = weights_member.region_of(file, path)
    arrays = {array.name: array for array in weights_member.stored_arrays(region)}
    optimizers.build_optimizers(model, arrays)
    with contextlib.ExitStack() as stack:
        others = [*_assets(model, file, path, stack), *_random_numbers(model, path, record)]
        stored = StoredState.from_file(arrays, region, model)
        try:
            exchange([ModelVariables(model, stored), *others])
        except KerasMustHandleError:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            exchange([KerasLoader(model, stored, path, directory), *others])


def _compare_optimizers(stored: str | None, own: str | None) -> None:
    if None not in (stored, own) and stored != own:
        raise CheckpointMismatchError(
            f"the file holds the state of the optimizer {stored}, the model has {own}"
        )


def _assets(model: Any, file: BinaryIO, path: str, stack: contextlib.ExitStack) -> Iterator[Part]:
    names = assets.names_in(file) if path.endswith(MODEL_SUFFIX) else []
    if names:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        yield assets.Assets(model, file, names, directory)


def _random_numbers(model: Any, path: str, record: dict[str, Any]) -> Iterator[Part]:
    if "random" in record:
        with reader.reporting(path):
            yield RandomState(model, record["random"])


def _warn_of_merged_kernels(model: Any) -> None:
    """Say what Keras keeps of a layer with LoRA: not enough to go on training as if never stopped.

    It stores the kernel with the adapters' product added, and sets the adapters to zero on loading.
    """
    names = [
        s.name
        for s in model_objects.saveables_or_none(model)
        if getattr(s.target, "lora_enabled", False)
    ]
    if names:
        warn(
            f"layer {names[0]!r} has LoRA, and Keras stores its kernel with the adapters merged: "
            "the model computes what it did, but training does not go on as if never stopped"
        )
