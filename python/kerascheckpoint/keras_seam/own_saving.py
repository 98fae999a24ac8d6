"""Whether a model's class saves in a way of its own."""

from typing import Any


def saves_itself(model: Any, *, weights_only: bool) -> bool:
    """Tell whether the user's own code stands in for the method of Keras that would save the model.

    Args:
        model: The model.
        weights_only: Whether `save_weights()` would be called, and not `save()`.
    """
    name = "save_weights" if weights_only else "save"
    method = getattr(model, name, None)
    module = str(getattr(method, "__module__", "keras"))
    return module.partition(".")[0] != "keras"
