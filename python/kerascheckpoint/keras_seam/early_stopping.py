"""Keep what an EarlyStopping remembers where Keras itself would forget it."""

from typing import Any

from .private import VERSION


def keep_best(callback: Any) -> None:
    """Keep the best value of an EarlyStopping whose state was restored before its first epoch.

    Keras before 3.7 finds out at the end of that epoch whether lower is better, and then sets the
    best value to infinity.
    """
    if VERSION >= (3, 7) or getattr(callback, "monitor_op", None) is not None:
        return
    settle, best = type(callback)._set_monitor_op, callback.best

    def settle_and_keep() -> None:
        vars(callback).pop("_set_monitor_op", None)
        settle(callback)
        callback.best = best

    callback._set_monitor_op = settle_and_keep
