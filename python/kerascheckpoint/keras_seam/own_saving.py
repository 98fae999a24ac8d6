"""Whether the user's code replaces a model's saving."""

from typing import Any


def saves_itself(model: Any, *, weights_only: bool) -> bool:
    """Tell whether the model's `save()` or `save_weights()` is the user's and not Keras'.

    Args:
        model: The model.
        weights_only: Whether to look at `save_weights()` instead of `save()`.
    """
    name = "save_weights" if weights_only else "save"
    method = getattr(model, name, None)
    module = str(getattr(method, "__module__", "keras"))
    return module.partition(".")[0] != "keras"
