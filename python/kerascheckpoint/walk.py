"""The objects of a model and their places in a file, whatever their ways to store variables."""

from typing import Any

import keras

from . import keras_compat
from .keras_compat import Saveable
from .store_entry import UnknownKerasError

OPTIMIZER = "optimizer"  # where Keras stores a model's optimizer, unless it meets it earlier


def over(model: Any) -> list[Saveable]:
    """Return the objects that Keras would save; none if this Keras walks in an unknown way."""
    try:
        return keras_compat.saveables(model)
    except UnknownKerasError:
        return []


def optimizers(model: Any) -> dict[str, Any]:
    """Return the optimizers of a model by their places: its own one first, then any others."""
    own = getattr(model, "optimizer", None)
    found = {
        saveable.path: saveable.target
        for saveable in over(model)
        if isinstance(saveable.target, keras.optimizers.Optimizer)
    }
    place = next((place for place, target in found.items() if target is own), OPTIMIZER)
    return ({} if own is None else {place: own}) | found
