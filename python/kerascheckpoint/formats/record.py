"""The record: the JSON text that travels inside each checkpoint and says what it is.

A `.keras` file carries it in `metadata.json` under the key "kerascheckpoint", a `.weights.h5` file
in a root attribute of that name. Numbers that JSON lacks are the strings "nan", "inf" and "-inf".
The record guards itself with a CRC-32 over its own text, as this module writes it, up to that last
field; fields unknown to this version are kept as they are.
"""

import json
import math
import types
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..errors import CheckpointCorruptError, CheckpointSchemaError

KEY = "kerascheckpoint"
SCHEMA = 1
BEGIN = b'{"schema":'  # of a record's text

_LARGEST = 2**53  # the end of the whole numbers that every reader of JSON holds
_CHOICES = {
    "mode": (None, "min", "max"),
    "reason": ("epoch", "batch", "time", "interrupt", "train_end"),
}

_SEPARATORS = (",", ":")
_OWN = ("schema", "crc32")  # the fields that `encode` itself adds

_REQUIRED: dict[str, type | types.UnionType] = {
    "epoch": int,
    "batch": int,
    "step": int,
    "metrics": dict,
    "reason": str,
    "saved_at": str,
}
_OPTIONAL: dict[str, type | types.UnionType] = {
    "monitor": str,
    "mode": str,
    "value": float | int | str,
    "best": bool,
    "keras_version": str,
    "backend": str,
    "best_value": float | int | str,
    "best_name": str,
    "arrays": dict,
    "image": dict,
    "history": dict,
    "epochs": list,
    "runs": list,
    "random": dict,
    "metric_state": list,
    "template": str,
    "compiled": str,
    "optimizer": str,
}


def encode(fields: Mapping[str, Any]) -> str:
    """Return the JSON text of a record of the current schema, guarded by its checksum."""
    content = {"schema": SCHEMA} | {name: fields[name] for name in fields if name not in _OWN}
    try:
        text = dumps(content)
    except ValueError:  # it holds numbers that JSON lacks
        text = dumps(_to_json(content))
    return f'{text[:-1]},"crc32":"{_checksum(text)}"}}'


def embed(metadata: Mapping[str, Any], text: str) -> str:
    """Return the text of a `metadata.json` that holds Keras' `metadata` and a record's `text`."""
    draft = dumps(dict(metadata) | {KEY: None})  # Keras has no such key, so it comes last
    return f"{draft.removesuffix('null}')}{text}}}"


def decode(record: Any) -> dict[str, Any]:
    """Check a record as read from a file and return its fields.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote it.
        CheckpointCorruptError: If it is damaged or not a record.
    """
    schema = record.get("schema") if isinstance(record, dict) else None
    if type(schema) is not int or schema < 1:
        raise CheckpointCorruptError("its record is not one of kerascheckpoint")
    if schema > SCHEMA:
        raise CheckpointSchemaError(
            f"its record has schema {schema}, newer than {SCHEMA}, the newest that this "
            "version of kerascheckpoint reads; install a newer kerascheckpoint"
        )
    guarded = {name: value for name, value in record.items() if name != "crc32"}
    if record.get("crc32") != _checksum(json.dumps(guarded, separators=_SEPARATORS)):
        raise CheckpointCorruptError("its record is damaged (checksum differs)")
    for name, kind in _REQUIRED.items():
        value = record.get(name)
        if not isinstance(value, kind) or (isinstance(value, int) and not _is_count(value)):
            raise CheckpointCorruptError(f"its record has no usable {name!r}")
    for name, kind in _OPTIONAL.items():
        if record.get(name) is not None and not isinstance(record[name], kind):
            raise CheckpointCorruptError(f"its record has no usable {name!r}")
    for name, choices in _CHOICES.items():
        if record.get(name) not in choices:
            raise CheckpointCorruptError(f"its record has no usable {name!r}")
    if datetime.fromisoformat(record["saved_at"]).tzinfo is None:
        raise CheckpointCorruptError("its record has a time without a time zone")
    guarded["metrics"] = {name: float(value) for name, value in record["metrics"].items()}
    for name in ("value", "best_value"):
        if guarded.get(name) is not None:
            guarded[name] = float(guarded[name])
    guarded["history"] = {
        name: [float(value) for value in values]
        for name, values in record.get("history", {}).items()
    }
    return guarded


def missing_to_continue(fields: Mapping[str, Any]) -> str | None:
    """Return the name of a field without which training cannot go on from here, or `None`."""
    for name in ("epochs", "history", "runs", "template", "random", "metric_state", "compiled"):
        if fields.get(name) is None:
            return name
    if not all(isinstance(run, str) for run in fields["runs"]) or not fields["runs"]:
        return "runs"
    return None if all(isinstance(epoch, int) for epoch in fields["epochs"]) else "epochs"


def dumps(content: Mapping[str, Any]) -> str:
    """Write JSON text without needless blanks."""
    return json.dumps(content, separators=_SEPARATORS, allow_nan=False)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _is_count(value: int) -> bool:
    return not isinstance(value, bool) and 0 <= value < _LARGEST


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
