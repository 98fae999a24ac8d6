"""The objects of a model and their paths in a file."""

import math
import re
from collections.abc import Iterable
from typing import Any

import keras

from ..keras_seam import objects
from ..keras_seam.objects import Saveable
from ..keras_seam.store import KerasMustHandleError

OPTIMIZER = "optimizer"  # where Keras stores a model's optimizer, unless a layer holds it too


def saveables_or_none(model: Any) -> list[Saveable]:
    """Return the objects that Keras would save; none if this version of Keras is unknown."""
    try:
        return objects.saveables(model)
    except KerasMustHandleError:
        return []


def optimizers(model: Any) -> dict[str, Any]:
    """Return the optimizers of a model by path: its own one first, then any others."""
    own = getattr(model, "optimizer", None)
    found = {
        saveable.path: saveable.target
        for saveable in saveables_or_none(model)
        if isinstance(saveable.target, keras.optimizers.Optimizer)
    }
    place = next((place for place, target in found.items() if target is own), OPTIMIZER)
    return ({} if own is None else {place: own}) | found


def size_of(variables: Iterable[Any]) -> int:
    """Return the total size of variables, in bytes."""
    return sum(math.prod(variable.shape) * _item_size(variable.dtype) for variable in variables)


def _item_size(dtype: str) -> int:
    bits = re.search(r"\d+", str(dtype))
    return max(int(bits.group()) // 8, 1) if bits else 1
