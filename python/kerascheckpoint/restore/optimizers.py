"""Build a model and its optimizers, if unbuilt, so that a file's state can be loaded."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import keras

from ..errors import CheckpointMismatchError
from ..keras_seam import objects
from ..keras_seam.deferred import deferred_variables
from ..model_state import ArraySpec
from ..snapshot import model_objects

_Shapes = list[tuple[int, ...]]

_LARGEST_SAMPLE = 1 << 31  # elements of one input
_MOST_PER_STORED = 4  # bytes of the model per byte of the file, which may store half precision
_ALWAYS = 16 << 20  # bytes that any model may use


def build_model(model: Any, build_config: dict[str, Any] | None, stored_bytes: int) -> None:
    """Build `model` with the input shapes stored in the file.

    The shapes are untrusted, so memory is allocated only if the file holds about as much.

    Args:
        model: The model.
        build_config: What `model.get_build_config` returned when the file was saved, if stored.
        stored_bytes: Size of all arrays in the file, in bytes.

    Raises:
        CheckpointMismatchError: If the model cannot be built with them.
    """
    if not model.built and build_config:
        _check_shapes(build_config)
        try:
            with deferred_variables():
                _build(model, build_config)
                _check_memory(model, stored_bytes)
        except CheckpointMismatchError:
            raise
        except Exception as error:
            raise CheckpointMismatchError(
                f"the model cannot be built with the input shapes in the file: {error}"
            ) from error
    if not model.built:
        raise CheckpointMismatchError(
            "the model is not built, so it has no variables to restore yet; first call it on a "
            "batch, or call model.build(input_shape)"
        )


def _build(model: Any, build_config: dict[str, Any]) -> None:
    model.build_from_config(build_config)
    shape = build_config.get("input_shape")
    if not model.built and _is_shape(shape):  # a subclassed model that does not define `build`
        model(keras.KerasTensor([1 if n is None else n for n in shape]))


def _is_shape(value: Any) -> TypeGuard[Sequence[int | None]]:
    return isinstance(value, list | tuple) and all(isinstance(n, int | None) for n in value)


def _check_shapes(config: Any) -> None:
    """Reject absurdly large shapes, with which some backends crash the process."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            if _is_shape(value) and not 0 <= math.prod(n for n in value if n) < _LARGEST_SAMPLE:
                raise CheckpointMismatchError(f"the file claims an input of shape {tuple(value)}")
            pending += value


def _check_memory(model: Any, stored_bytes: int) -> None:
    needed = model_objects.size_of(model.variables)
    if needed > _MOST_PER_STORED * stored_bytes + _ALWAYS:
        raise CheckpointMismatchError(
            f"with the input shapes in the file the model needs {needed:,} bytes, but the file "
            f"holds only {stored_bytes:,}"
        )


def unbuilt(model: Any) -> list[Any]:
    """Return the objects that a restore may build: an unbuilt model, or a model's optimizers."""
    if not model.built:
        return [model]
    return [o for o in model_objects.optimizers(model).values() if not o.built]


def build_optimizers(model: Any, arrays: Mapping[str, ArraySpec]) -> None:
    """Build each optimizer of `model` for which the file has `arrays`.

    Raises:
        CheckpointMismatchError: If it is unclear for which variables an optimizer was built.
    """
    for place, optimizer in model_objects.optimizers(model).items():
        stored = _stored_shapes(place, arrays)
        if optimizer.built or not stored:
            continue
        if optimizer is getattr(model, "optimizer", None):
            _build_own(optimizer, model.trainable_variables, stored)
        elif objects.is_stock_optimizer(optimizer):
            _build_other(optimizer, place, model, stored)


def _build_own(optimizer: Any, variables: list[Any], stored: _Shapes) -> None:
    """Build the optimizer that `fit` uses, which trains all trainable variables."""
    if _has_no_slots(optimizer, stored) and _shapes_if_built(optimizer, variables) != stored:
        return  # saved before its first step, or it has no slot variables
    optimizer.build(variables)


def _build_other(optimizer: Any, place: str, model: Any, stored: _Shapes) -> None:
    """Build an optimizer for the one part of the model that its stored arrays fit."""
    fitting = [
        variables for variables in _parts(model) if _shapes_if_built(optimizer, variables) == stored
    ]
    if len(fitting) == 1:
        optimizer.build(fitting[0])
    elif not _has_no_slots(optimizer, stored):
        raise CheckpointMismatchError(
            f"the optimizer {place!r} is not built, and {len(fitting)} parts of the model fit its "
            f"stored state: call {place.replace('/', '.')}.build(variables) first"
        )


def _parts(model: Any) -> list[list[Any]]:
    """Return what an optimizer may train: all of a model's variables, or those of one layer."""
    parts = [model.trainable_variables, *(part.trainable_variables for part in model.layers)]
    distinct = {tuple(map(id, variables)): variables for variables in parts if variables}
    return list(distinct.values())


def _has_no_slots(optimizer: Any, stored: _Shapes) -> bool:
    """Tell whether an unbuilt optimizer has every stored array, so that it can stay unbuilt."""
    return objects.is_stock_optimizer(optimizer) and _shapes(optimizer) == stored


def _shapes_if_built(optimizer: Any, variables: list[Any]) -> _Shapes | None:
    """Return the shapes that an optimizer's arrays would have, by building a copy of it."""
    try:
        trial = type(optimizer).from_config(optimizer.get_config())
        trial.build(variables)
    except Exception:  # a user's class may raise anything, and then cannot be tried
        return None
    return _shapes(trial)


def _shapes(optimizer: Any) -> _Shapes:
    return [tuple(variable.shape) for variable in optimizer.variables]


def _stored_shapes(place: str, arrays: Mapping[str, ArraySpec]) -> _Shapes:
    """Return the shapes of an optimizer's stored arrays, in the order of its variables."""
    prefix = f"{place}/vars/"
    shapes = {name[len(prefix) :]: a.shape for name, a in arrays.items() if name.startswith(prefix)}
    return [shapes[key] for key in sorted(shapes, key=lambda key: (len(key), key))]
