"""The fields of a record: how far training is, and all that it takes to go on from there."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import keras

from . import keras_compat, random_state
from .checkpoint_info import Reason
from .monitor import scalar_logs
from .run import Run


def fields(
    model: Any,
    run: Run,
    logs: Mapping[str, Any],
    *,
    reason: Reason,
    epoch_done: bool,
    ranked: Mapping[str, Any],
    template: str,
) -> dict[str, Any]:
    """Return the fields of a record for a save right now.

    Args:
        model: The model in training.
        run: How far it is.
        logs: The metrics.
        reason: What made the callback save.
        epoch_done: Whether the save is at an epoch's end.
        ranked: The fields of the monitored metric.
        template: The template of the file's name, below its directory.
    """
    progress = run.progress
    return {
        "epoch": progress.epoch,
        "batch": progress.batch,
        "step": progress.step,
        "epoch_steps": progress.epoch_steps,
        "metrics": scalar_logs(logs),
        **ranked,
        "reason": reason,
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "keras_version": keras.__version__,
        "backend": keras_compat.BACKEND,
        # Copies: training goes on while the record is written.
        "epochs": list(run.epochs),
        "history": {name: list(values) for name, values in run.history.items()},
        "runs": list(run.lineage),
        "template": template,
        "random": random_state.capture(model),
        "metric_state": [] if epoch_done else _metric_state(model),
        "compiled": compiled(model),
        "optimizer": optimizer_name(model),
        "build_config": keras_compat.build_config(model),
    }


def _metric_state(model: Any) -> list[Any]:
    """Return the state of the metrics in the middle of an epoch, bit for bit."""
    return [
        random_state.pack(keras_compat.to_numpy(variable)) for variable in model.metrics_variables
    ]


@keras_compat.not_importing_tensorflow()
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
