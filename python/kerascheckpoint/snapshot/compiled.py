"""What a model was compiled with, as texts to compare."""

import json
from typing import Any

from ..keras_seam.serialization import not_importing_tensorflow


@not_importing_tensorflow()
def compiled(model: Any) -> str:
    """Return, as a text to compare, the loss and the metrics that a model was compiled with."""
    config = model.get_compile_config() if getattr(model, "compiled", False) else {}
    names = ("loss", "loss_weights", "metrics", "weighted_metrics")
    return json.dumps([config.get(name) for name in names], sort_keys=True, default=str)


def optimizer_name(model: Any) -> str | None:
    """Return the class of a model's optimizer, and of the one that it wraps, as a text to compare.

    Optimizers of different classes may have state of the same form, and mean another by it.
    """
    names = []
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None:
        names.append(type(optimizer).__name__)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return " of ".join(names) or None
