"""What a model was compiled with, as strings that can be compared."""

import json
from collections.abc import Mapping
from typing import Any

from ..backends.arrays import to_numpy
from ..keras_seam.learning_rate import has_rate, schedule_of, stepping
from ..keras_seam.serialization import not_importing_tensorflow


def compiled(model: Any) -> str:
    """Return the loss and the metrics that a model was compiled with, as a string to compare."""
    config = _compile_config(model)
    names = ("loss", "loss_weights", "metrics", "weighted_metrics")
    return json.dumps([config.get(name) for name in names], sort_keys=True, default=str)


def optimizer_name(model: Any) -> str | None:
    """Return the class names of a model's optimizer and of any that it wraps, to compare.

    Optimizers of different classes may have state of the same shapes but different meaning.
    """
    names = []
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None:
        names.append(type(optimizer).__name__)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return " of ".join(names) or None


def learning_rate(model: Any) -> tuple[float | None, str | None]:
    """Return the learning rate of a model's optimizer, or its schedule as a string to compare.

    Both are `None` if the model has no Keras optimizer, or if it has already trained: a callback
    may have changed the rate since.
    """
    optimizer = stepping(getattr(model, "optimizer", None))
    rate = getattr(optimizer, "_learning_rate", None)
    if rate is None or int(to_numpy(optimizer.iterations)):
        return None, None
    if has_rate(optimizer):
        return float(to_numpy(rate)), None
    return None, schedule_of(optimizer)


def loss_weights(model: Any) -> str | None:
    """Return the loss weights that a model was compiled with as JSON, or `None`."""
    weights = _compile_config(model).get("loss_weights")
    return None if weights is None else json.dumps(weights, sort_keys=True, default=str)


@not_importing_tensorflow()
def _compile_config(model: Any) -> Mapping[str, Any]:
    try:
        return (model.get_compile_config() if getattr(model, "compiled", False) else None) or {}
    except NotImplementedError:  # a schedule of the user's own without a config, say
        return {}
