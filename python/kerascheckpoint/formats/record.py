"""The record: a JSON text inside each checkpoint that describes it.

A `.keras` file has it in `metadata.json` under the key "kerascheckpoint", a `.weights.h5` file in a
root attribute of that name. Numbers that JSON lacks are the strings "nan", "inf" and "-inf". The
last field is a CRC-32 of the text before it, as this module writes it. Fields that this version
does not know are kept.
"""

import functools
import importlib
import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import CheckpointCorruptError, CheckpointSchemaError
from . import schema

KEY = "kerascheckpoint"
SCHEMA = 2
BEGIN = b'{"schema":'  # of a record's text

_SEPARATORS = (",", ":")
_MEMORY_LIMIT = 600 << 20  # bytes; the estimated memory of a parsed record must be less
_EXTRA_DTYPES = (  # of the package ml_dtypes
    *("bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn"),
    *("float6_e2m3fn", "float6_e3m2fn", "int2", "int4", "uint2", "uint4"),
)
_OWN = ("schema", "crc32")  # the fields that `encode` itself adds


def encode(fields: Mapping[str, Any]) -> str:
    """Return the JSON text of a record of the current schema, with its checksum."""
    content = {"schema": SCHEMA} | {name: fields[name] for name in fields if name not in _OWN}
    try:
        text = dumps(content)
    except ValueError:  # NaN or infinity
        text = dumps(_to_json(content))
    return f'{text[:-1]},"crc32":"{_checksum(text)}"}}'


def embed(metadata: Mapping[str, Any], text: str) -> str:
    """Return the text of a `metadata.json` that holds Keras' `metadata` and a record's `text`."""
    draft = dumps(dict(metadata) | {KEY: None})  # Keras does not have this key, so it comes last
    return f"{draft.removesuffix('null}')}{text}}}"


def decode(record: Any) -> dict[str, Any]:
    """Check a record read from a file and return its fields.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote it.
        CheckpointCorruptError: If it is damaged or not a record.
    """
    version = record.get("schema") if isinstance(record, dict) else None
    if type(version) is not int or version < 1:
        raise CheckpointCorruptError("its record is not one of kerascheckpoint")
    if version > SCHEMA:
        raise CheckpointSchemaError(
            f"its record has schema {version}, newer than {SCHEMA}, the newest that this "
            "version of kerascheckpoint reads; install a newer kerascheckpoint"
        )
    schema.check_sizes(record)
    guarded = {name: value for name, value in record.items() if name != "crc32"}
    if record.get("crc32") != _checksum(json.dumps(guarded, separators=_SEPARATORS)):
        raise CheckpointCorruptError("its record is damaged (checksum differs)")
    if version == 1:
        guarded |= _states_of_schema_1(guarded)
    for name, kind in schema.REQUIRED.items():
        guarded[name] = _checked(name, kind, record.get(name))
    for name, kind in schema.OPTIONAL.items():
        if record.get(name) is not None:
            guarded[name] = _checked(name, kind, record[name])
    guarded.setdefault("history", {})
    return guarded


def _states_of_schema_1(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states as they are since schema 2, of a record in which two had a key each."""
    states = dict(record.get("states") or {})
    if isinstance(record.get("random"), dict):
        states["random"] = {"version": 1} | record["random"]
    if record.get("metric_state"):
        states["metrics"] = {"version": 1, "values": record["metric_state"]}
    return {"states": states}


def _checked(name: str, kind: schema.Kind, value: Any) -> Any:
    try:
        return kind(value)
    except (ValueError, TypeError, OverflowError) as error:
        where = str(error) if str(error).startswith((".", "[")) else ""
        raise CheckpointCorruptError(f"its record has no usable '{name}{where}'") from None


def parsed(text: str | bytes) -> Any:
    """Parse untrusted JSON.

    Raises:
        CheckpointCorruptError: If it is not JSON or would take more memory than any real record.
    """
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    check_size(content)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointCorruptError(f"its record is not JSON ({error})") from None


def check_size(text: bytes) -> None:
    """Raise a CheckpointCorruptError if JSON would take more memory than any real record."""
    needed = 3 * len(text)
    needed += 70 * text.count(b",") + 240 * text.count(b"{") + 90 * text.count(b"[")
    if needed > _MEMORY_LIMIT:
        raise CheckpointCorruptError("its record is larger than any real record")


@functools.cache
def dtype_text(dtype: "np.dtype[Any]") -> str:
    """Return the name of an array's dtype, with its byte order."""
    return dtype.name if dtype.name in _EXTRA_DTYPES else dtype.str


def dtype_of(text: str) -> "np.dtype[Any]":
    """Return the dtype for a name from `dtype_text`.

    Raises:
        CheckpointCorruptError: If it is not a dtype of numbers or plain bytes.
    """
    if text in _EXTRA_DTYPES:
        return np.dtype(getattr(importlib.import_module("ml_dtypes"), text))
    if not re.fullmatch(r"[<>|=]?[biufcV][0-9]{1,4}", text):
        raise CheckpointCorruptError(f"its record names the dtype {text!r}")
    return np.dtype(text)


def missing_to_continue(fields: Mapping[str, Any]) -> str | None:
    """Return the name of a missing field that a resume needs, or `None`."""
    for name in ("epochs", "history", "runs", "template", "compiled", "states"):
        if fields.get(name) is None:
            return name
    if "random" not in fields["states"]:
        return "states.random"
    if not all(isinstance(run, str) for run in fields["runs"]) or not fields["runs"]:
        return "runs"
    return None if all(isinstance(epoch, int) for epoch in fields["epochs"]) else "epochs"


def dumps(content: Any) -> str:
    """Return compact JSON text."""
    return json.dumps(content, separators=_SEPARATORS, allow_nan=False)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
