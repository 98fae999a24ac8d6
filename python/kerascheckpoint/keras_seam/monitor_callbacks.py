"""Which values of a metric Keras' own callbacks take for better: EarlyStopping and its like."""

from typing import Any

from .metrics import metric_direction


def direction_of(callback: Any) -> str | None:
    """Return "min" or "max" for the metric that a callback monitors, `None` if unknown."""
    # Reading `callback.model` would make Keras put JAX' state of training back into the model.
    model, name = getattr(callback, "_model", None), getattr(callback, "monitor", None)
    return metric_direction(model, name.removeprefix("val_")) if isinstance(name, str) else None


def settle_direction(callback: Any, direction: str | None) -> None:
    """Let a callback settle now which values are better, and not at its first epoch's end.

    Keras asks the compiled metrics. On TensorFlow and PyTorch, the first batch builds them, and
    until then Keras raises an error. Keras before 3.7 also forgets the best value so far.

    Args:
        callback: The callback.
        direction: What `direction_of` returned when the metrics were built.
    """
    settle = getattr(callback, "_set_monitor_op", None)
    if settle is None or getattr(callback, "monitor_op", None) is not None:
        return
    mode = callback.mode
    try:
        if mode == "auto" and direction is not None:
            callback.mode = direction
        settle()
    except ValueError:  # Keras raises it again at the end of the epoch
        return
    finally:
        callback.mode = mode
