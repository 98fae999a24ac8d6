"""`CheckpointInfo`: what a checkpoint says of itself, as readers see it."""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

Mode = Literal["min", "max"]
Reason = Literal["epoch", "batch", "time", "interrupt", "train_end"]


@dataclasses.dataclass(frozen=True)
class CheckpointInfo:
    """One checkpoint file. A field is `None` where it cannot be known without guessing.

    Attributes:
        path: Absolute path of the file.
        epoch: Epochs completed: the next `initial_epoch` of Python's `fit`.
        batch: Batches done in the unfinished epoch, 0 at an epoch's end.
        step: Batches done in all, over the whole run.
        metrics: The logs at the save, as floats.
        monitor: Name of the monitored metric.
        mode: `"min"` or `"max"`, the direction in which `monitor` improves.
        value: The monitored value.
        best: Whether this was the best value so far when it was saved.
        reason: What made the callback save.
        saved_at: When the state was captured, UTC; the file's own time for a file without a record.
        size: Size of the file in bytes.
        weights_only: Whether the file holds weights (`.weights.h5`) and not a whole model.
        keras_version: The Keras that wrote the model.
        backend: The Keras backend that trained it.
        schema: Number of the record's schema; `None` for a stock Keras file.
    """

    path: str
    epoch: int | None
    batch: int | None
    step: int | None
    metrics: dict[str, float]
    monitor: str | None
    mode: Mode | None
    value: float | None
    best: bool | None
    reason: Reason | None
    saved_at: datetime
    size: int
    weights_only: bool
    keras_version: str | None
    backend: str | None
    schema: int | None

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, path: str, size: int, weights_only: bool
    ) -> "CheckpointInfo":
        """Read the fields out of a decoded record (see `record.decode`)."""
        return cls(
            path=path,
            epoch=record["epoch"],
            batch=record["batch"],
            step=record["step"],
            metrics=dict(record["metrics"]),
            monitor=record.get("monitor"),
            mode=record.get("mode"),
            value=record.get("value"),
            best=record.get("best"),
            reason=record["reason"],
            saved_at=datetime.fromisoformat(record["saved_at"]),
            size=size,
            weights_only=weights_only,
            keras_version=record.get("keras_version"),
            backend=record.get("backend"),
            schema=record["schema"],
        )

    @classmethod
    def of_stock_file(
        cls,
        *,
        path: str,
        size: int,
        saved_at: datetime,
        weights_only: bool,
        keras_version: str | None,
    ) -> "CheckpointInfo":
        """Return what is known of a file that Keras alone wrote; `saved_at` is the file's time."""
        nothing: dict[str, Any] = dict.fromkeys(
            ("epoch", "batch", "step", "monitor", "mode", "value", "best", "reason", "backend")
        )
        return cls(
            path=path,
            metrics={},
            saved_at=saved_at,
            size=size,
            weights_only=weights_only,
            keras_version=keras_version,
            schema=None,
            **nothing,
        )

    def __str__(self) -> str:
        """Return the path: Keras' `load_model` goes by the text of what it is given."""
        return self.path

    def __fspath__(self) -> str:
        """Return the path, so that `open` and `keras.saving.load_model` take a checkpoint."""
        return os.fspath(self.path)

    @property
    def is_cut_short(self) -> bool:
        """Whether its metrics are those of an epoch that a signal ended early: no basis to rank."""
        return self.reason == "interrupt" and bool(self.batch)

    @property
    def age_key(self) -> tuple[datetime, int]:
        """What files are ordered by, oldest first."""
        return (self.saved_at, self.step or 0)

    def as_json_object(self) -> dict[str, Any]:
        """Return the fields with types that JSON has; what is no number becomes `None`."""
        fields = dataclasses.asdict(self)
        fields["saved_at"] = self.saved_at.isoformat()
        fields["metrics"] = {name: _finite(value) for name, value in self.metrics.items()}
        fields["value"] = _finite(self.value)
        return fields


def to_json(infos: Iterable[CheckpointInfo], indent: int | None = None) -> str:
    """Write checkpoints as a JSON array of objects, one per file, with the fields' own names."""
    return json.dumps([info.as_json_object() for info in infos], indent=indent)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
