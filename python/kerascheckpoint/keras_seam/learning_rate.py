"""The learning rate of Keras' optimizers: a variable, or a schedule that the script defines."""

from typing import Any

from .variable import VARIABLE


def stepping(optimizer: Any) -> Any:
    """Return the optimizer that makes the steps: `optimizer`, or the one that it wraps."""
    inner = getattr(optimizer, "inner_optimizer", None)
    return optimizer if inner is None else stepping(inner)


def has_rate(optimizer: Any) -> bool:
    """Tell whether the learning rate is a variable, as it is unless it follows a schedule."""
    return isinstance(getattr(stepping(optimizer), "_learning_rate", None), VARIABLE)


def place_of_rate(optimizer: Any) -> int | None:
    """Return the index of the learning rate among an optimizer's variables.

    If it follows a schedule, return the index that it would have. Keras makes this variable right
    after the count of steps. `None` if that is not so. Seen in Keras 3.3 to 3.16.
    """
    own = stepping(optimizer)
    count = getattr(own, "_iterations", None)
    count = own.iterations if count is None else count  # Keras before 3.6
    variables = optimizer.variables
    found = [place for place, variable in enumerate(variables) if variable is count]
    if len(found) != 1:
        return None
    place = found[0] + 1
    if has_rate(own) and not any(v is own._learning_rate for v in variables[place : place + 1]):
        return None
    return place


def schedule_of(optimizer: Any) -> str:
    """Return the class and the settings of an optimizer's schedule, or its name if a function."""
    schedule = stepping(optimizer)._learning_rate
    try:
        config = schedule.get_config()
    except (AttributeError, NotImplementedError):  # of the user's own
        return str(getattr(schedule, "__qualname__", type(schedule).__name__))
    settings = ", ".join(f"{name}={value!r}" for name, value in config.items() if name != "name")
    return f"{type(schedule).__name__}({settings})"
