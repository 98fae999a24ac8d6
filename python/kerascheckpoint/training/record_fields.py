"""The fields of a record: how far training is, and everything needed to continue from there."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import keras

from ..checkpoint_info import Reason
from ..keras_seam.private import BACKEND
from ..keras_seam.serialization import build_config
from ..notify import Once
from ..policies.monitor import scalar_logs
from ..snapshot.compiled import compiled, optimizer_name
from ..state import callbacks, data
from ..state import random as random_state
from ..state.metrics import metric_state
from .run import Run


def fields(
    model: Any,
    run: Run,
    logs: Mapping[str, Any],
    *,
    reason: Reason,
    epoch_done: bool,
    template: str,
    once: Once,
) -> dict[str, Any]:
    """Return the fields of the record of a save, except those of the monitored metric.

    Args:
        model: The model in training.
        run: The run.
        logs: The metrics.
        reason: What made the callback save.
        epoch_done: Whether the save is at the end of an epoch.
        template: The template of the file name, relative to its directory.
        once: Gives each warning once.
    """
    progress = run.progress
    states = {
        callbacks.NAME: run.companions.capture(model, once, resume=run.settings.resume),
        data.NAME: data.capture(None if epoch_done else run.order),
    }
    return {
        "epoch": progress.epoch,
        "batch": progress.batch,
        "step": progress.step,
        "epoch_steps": progress.epoch_steps,
        "metrics": scalar_logs(logs),
        "reason": reason,
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "keras_version": keras.__version__,
        "backend": BACKEND,
        # Copies, because training goes on while the record is written.
        "epochs": list(run.epochs),
        "history": {name: list(values) for name, values in run.history.items()},
        "runs": list(run.lineage),
        "template": template,
        "random": random_state.capture(model),
        "metric_state": [] if epoch_done else metric_state(model),
        "compiled": compiled(model),
        "optimizer": optimizer_name(model),
        "build_config": build_config(model),
        "budget": run.policy.report(),
        "states": states,
        **run.held,
    }


def hold(model: Any) -> dict[str, Any]:
    """Return the fields that a validation changes, for a save in the middle of it."""
    return {"random": random_state.capture(model), "metric_state": metric_state(model)}
