"""Where Keras' nested state (`Model.get_state_tree`) has each variable of a model."""

from collections.abc import Mapping
from typing import Any


def keys_in_state_tree(model: Any, stored: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the keys of each stored variable: its kind, then the parts of its path.

    What is no variable has none; nor have variables whose path another one has as well, or stands
    in the way of another's, as there is one place for both.

    Args:
        model: The model.
        stored: What a file of it holds, by name; variables as they are.
    """
    optimizer = getattr(model, "optimizer", None)
    kinds = {
        "trainable_variables": model.trainable_variables,
        "non_trainable_variables": model.non_trainable_variables,
        "optimizer_variables": getattr(optimizer, "variables", ()),
    }
    keys = {
        id(variable): (kind, *variable.path.split("/"))
        for kind, variables in kinds.items()
        for variable in variables
    }
    found: dict[str, tuple[str, ...]] = {}
    taken: set[tuple[str, ...]] = set()
    inner: set[tuple[str, ...]] = set()
    for name, value in stored.items():
        own = keys.get(id(value))
        if own is None or own in taken or own in inner:
            continue
        above = {own[:length] for length in range(1, len(own))}
        if above & taken:
            continue
        taken.add(own)
        inner |= above
        found[name] = own
    return found
