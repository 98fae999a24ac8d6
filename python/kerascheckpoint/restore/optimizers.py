"""Build the model and the optimizers that a file has state for and that are not built yet."""

from collections.abc import Mapping
from typing import Any

import keras

from ..errors import CheckpointMismatchError
from ..keras_seam import objects
from ..model_state import ArraySpec
from ..snapshot import model_objects

_Shapes = list[tuple[int, ...]]


def build_model(model: Any, build_config: dict[str, Any] | None) -> None:
    """Build `model` as the one was that the file was written of.

    Raises:
        CheckpointMismatchError: If that does not suffice to build it.
    """
    if not model.built and build_config:
        model.build_from_config(build_config)
        if not model.built:
            _call_on_zeros(model, build_config)
    if not model.built:
        raise CheckpointMismatchError(
            "the model is not built, so there is nothing yet to restore into: call it on a batch, "
            "or model.build(input_shape), first"
        )


def _call_on_zeros(model: Any, build_config: dict[str, Any]) -> None:
    """Build a subclassed model, which has no `build` of its own, by a call on one sample."""
    shape = build_config.get("input_shape")
    if isinstance(shape, list | tuple) and all(isinstance(n, int | None) for n in shape):
        model(keras.ops.zeros([1 if n is None else n for n in shape]))


def build_optimizers(model: Any, arrays: Mapping[str, ArraySpec]) -> None:
    """Build each optimizer of `model` that the file's `arrays` are for.

    Raises:
        CheckpointMismatchError: If nothing tells for which variables one was built.
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
    """Build the optimizer that `fit` uses: it trains all that is trainable."""
    if _has_no_slots(optimizer, stored) and _shapes_if_built(optimizer, variables) != stored:
        return  # saved before its first step, or it never makes one
    optimizer.build(variables)


def _build_other(optimizer: Any, place: str, model: Any, stored: _Shapes) -> None:
    """Build an optimizer for the only part of a model to which the stored arrays belong."""
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
    """Return what an optimizer may train: the model's variables, or those of one of its layers."""
    parts = [model.trainable_variables, *(part.trainable_variables for part in model.layers)]
    distinct = {tuple(map(id, variables)): variables for variables in parts if variables}
    return list(distinct.values())


def _has_no_slots(optimizer: Any, stored: _Shapes) -> bool:
    """Tell whether an unbuilt optimizer has all that is stored, so that it may stay unbuilt."""
    return objects.is_stock_optimizer(optimizer) and _shapes(optimizer) == stored


def _shapes_if_built(optimizer: Any, variables: list[Any]) -> _Shapes | None:
    """Return the shapes that an optimizer's arrays would have, found out by a copy of it."""
    try:
        trial = type(optimizer).from_config(optimizer.get_config())
        trial.build(variables)
    except Exception:  # whatever a class of the user's own raises: it cannot be tried
        return None
    return _shapes(trial)


def _shapes(optimizer: Any) -> _Shapes:
    return [tuple(variable.shape) for variable in optimizer.variables]


def _stored_shapes(place: str, arrays: Mapping[str, ArraySpec]) -> _Shapes:
    """Return the shapes of the arrays at an optimizer's place, in the order of its variables."""
    prefix = f"{place}/vars/"
    shapes = {name[len(prefix) :]: a.shape for name, a in arrays.items() if name.startswith(prefix)}
    return [shapes[key] for key in sorted(shapes, key=lambda key: (len(key), key))]
