"""The fields of a record: the progress of training, and everything needed to continue."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import keras

from ..checkpoint_info import Reason
from ..keras_seam.private import BACKEND
from ..keras_seam.serialization import build_config
from ..policies.monitor import scalar_logs
from ..snapshot.compiled import compiled, optimizer_name
from ..state.base import capture
from ..state.metrics import EpochMetrics
from ..state.random import RandomState
from .run import Run


def fields(
    model: Any,
    run: Run,
    logs: Mapping[str, Any],
    *,
    reason: Reason,
    epoch_done: bool,
    template: str,
) -> dict[str, Any]:
    """Return the record's fields for a save, except those about the monitored metric.

    Arrays in their states still have to be encoded by `state.arrays.take_out`.

    Args:
        model: The model in training.
        run: The run.
        logs: The metrics.
        reason: What made the callback save.
        epoch_done: Whether the save is at the end of an epoch.
        template: The template of the file name, relative to its directory.
    """
    return _progress(run) | {
        "metrics": scalar_logs(logs),
        "reason": reason,
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        "keras_version": keras.__version__,
        "backend": BACKEND,
        "template": template,
        "compiled": compiled(model),
        "optimizer": optimizer_name(model),
        "build_config": build_config(model),
        "budget": run.policy.report(),
        "states": _states(model, run, epoch_done=epoch_done),
    }


def _progress(run: Run) -> dict[str, Any]:
    """Return the fields about the progress of a run, as copies that training does not change."""
    progress = run.progress
    return {
        "epoch": progress.epoch,
        "batch": progress.batch,
        "step": progress.step,
        "epoch_steps": progress.epoch_steps,
        "epochs": list(run.epochs),
        "history": {name: list(values) for name, values in run.history.items()},
        "runs": list(run.lineage),
    }


def hold(model: Any) -> dict[str, Any]:
    """Return the states that validation changes, for a save during validation."""
    return capture([RandomState(model), EpochMetrics(model)])


def _states(model: Any, run: Run, *, epoch_done: bool) -> dict[str, Any]:
    states = capture([RandomState(model), run.companions, run.script])
    states[RandomState.name] = run.order.process_at(states[RandomState.name])
    if not epoch_done:
        states |= capture([EpochMetrics(model)])
    if not epoch_done or run.order.spans_epochs:
        states |= capture([run.order])
    return states | run.held
