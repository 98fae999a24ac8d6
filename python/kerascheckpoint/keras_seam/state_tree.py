"""The keys of a model's variables in Keras' nested state (`Model.get_state_tree`)."""

from collections.abc import Mapping
from typing import Any


def keys_in_state_tree(model: Any, stored: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the keys of each stored variable: its kind, then the parts of its path.

    Values that are not variables have no keys. If two variables have the same path, or one path
    begins with the other, only the first one has keys, because the tree has room for one.

    Args:
        model: The model.
        stored: Everything that a file of the model holds, by name; variables as objects.
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
