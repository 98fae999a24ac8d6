"""`CheckpointInfo`: the facts that a checkpoint stores about itself."""

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
    """One checkpoint. A field is `None` where its value is unknown.

    Attributes:
        path: Absolute path of the file.
        epoch: Epochs completed: the next `initial_epoch` of Python's `fit`.
        batch: Batches done in the unfinished epoch, 0 at the end of an epoch.
        step: Batches done in the whole run.
        metrics: The logs at the save, as floats.
        monitor: Name of the monitored metric.
        mode: `"min"` or `"max"`, the direction in which `monitor` improves.
        value: The monitored value.
        best: Whether this was the best value so far when it was saved.
        reason: What made the callback save.
        saved_at: When the state was captured, in UTC; the file's time if it has no record.
        size: Size of the file in bytes.
        weights_only: Whether the file holds weights only, not a whole model.
        keras_version: Version of the Keras that wrote the model.
        backend: Name of the Keras backend that trained it.
        schema: Schema number of the record; `None` for a stock Keras file.
    """

    path: str
    epoch: int | None
    batch: int | None
    step: int | None
    metrics: dict[str, float] = dataclasses.field(hash=False)  # a dict has no hash
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
        """Make an info from a decoded record (see `record.decode`)."""
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
        """Make an info for a file without a record; `saved_at` is the file's time."""
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
        """Return the path, because Keras' `load_model` converts its argument to `str`."""
        return self.path

    def __fspath__(self) -> str:
        """Return the path, so that `open` and `keras.saving.load_model` accept a checkpoint."""
        return os.fspath(self.path)

    @property
    def is_cut_short(self) -> bool:
        """Whether a signal ended its epoch early, so that its metrics must not be ranked."""
        return self.reason == "interrupt" and bool(self.batch)

    @property
    def age_key(self) -> tuple[datetime, int]:
        """Sort key that puts the oldest checkpoint first."""
        return (self.saved_at, self.step or 0)

    def as_json_object(self) -> dict[str, Any]:
        """Return the fields as JSON types; NaN and infinity become `None`."""
        fields = dataclasses.asdict(self)
        fields["saved_at"] = self.saved_at.isoformat()
        fields["metrics"] = {name: _finite(value) for name, value in self.metrics.items()}
        fields["value"] = _finite(self.value)
        return fields


def to_json(infos: Iterable[CheckpointInfo], indent: int | None = None) -> str:
    """Return a JSON array with one object per checkpoint, with the names of the fields."""
    return json.dumps([info.as_json_object() for info in infos], indent=indent)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
