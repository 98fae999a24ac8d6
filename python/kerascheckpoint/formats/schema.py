"""The schema of a record: its fields, and the check of each.

A kind is a function that returns the checked value, or raises a `ValueError` whose text says where
the value is wrong. Fields that are not listed belong to a later version and stay as they are.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ..errors import CheckpointCorruptError

Kind = Callable[[Any], Any]

_LARGEST = 2**53  # whole numbers below this are exact in every JSON reader
_NAMES_LIMIT = 10_000  # metrics
_NAME_LIMIT = 10_000  # characters
_AXES_LIMIT = 64
_WRONG = (ValueError, TypeError, OverflowError)  # the exceptions of checks


def count(limit: int = _LARGEST) -> Kind:
    """A whole number from 0 to below `limit`."""

    def check(value: Any) -> int:
        if type(value) is not int or not 0 <= value < limit:
            raise ValueError
        return value

    return check


def number(value: Any) -> float:
    """A number of JSON, or the text `"nan"`, `"inf"` or `"-inf"`."""
    if type(value) in (int, float) or value in ("nan", "inf", "-inf"):
        return float(value)
    raise ValueError


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError
    return value


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def choice(*accepted: str) -> Kind:
    """One of the accepted texts."""

    def check(value: Any) -> str:
        if value not in accepted:
            raise ValueError
        return str(value)

    return check


def moment(value: Any) -> str:
    """An ISO 8601 time with a time zone."""
    if datetime.fromisoformat(text(value)).tzinfo is None:
        raise ValueError
    return str(value)


def listing(of: Kind) -> Kind:
    """A list of values of one kind."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError
        try:
            return [of(item) for item in value]
        except _WRONG:
            raise _located(of, enumerate(value), "[{}]") from None

    return check


def mapping(of: Kind, limit: int | None = None) -> Kind:
    """An object with values of one kind, at most `limit` of them."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or (limit is not None and len(value) > limit):
            raise ValueError
        try:
            return {name: of(item) for name, item in value.items()}
        except _WRONG:
            raise _located(of, value.items(), ".{:.99}") from None

    return check


def row(*kinds: Kind) -> Kind:
    """A list with one value of each of the kinds, in this order."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) != len(kinds):
            raise ValueError
        return [kind(item) for kind, item in zip(kinds, value, strict=True)]

    return check


def fields(**kinds: Kind) -> Kind:
    """An object that has these fields and may have others."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not kinds.keys() <= value.keys():
            raise ValueError
        checked = {}
        for name, kind in kinds.items():
            try:
                checked[name] = kind(value[name])
            except _WRONG:
                raise ValueError(f".{name}") from None
        return value | checked

    return check


def json_object(value: Any) -> dict[str, Any]:
    """An object; its user checks its content."""
    if not isinstance(value, dict):
        raise ValueError
    return value


def checksum(value: Any) -> str:
    """A CRC-32 as eight hexadecimal digits."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{8}", value):
        raise ValueError
    return value


def metrics(of: Kind) -> Kind:
    """An object with a value of one kind for each metric."""
    check_mapping = mapping(of, _NAMES_LIMIT)

    def check(value: Any) -> dict[str, Any]:
        found: dict[str, Any] = check_mapping(value)
        if any(len(name) > _NAME_LIMIT for name in found):
            raise ValueError
        return found

    return check


def shape(value: Any) -> list[int]:
    """The shape of an array."""
    lengths: list[int] = listing(count())(value)
    if len(lengths) > _AXES_LIMIT or math.prod(lengths) >= _LARGEST:
        raise ValueError
    return lengths


def _located(of: Kind, items: Iterable[tuple[Any, Any]], where: str) -> ValueError:
    """Return an error that says which of the values is wrong."""
    for key, item in items:
        try:
            of(item)
        except _WRONG as error:
            inner = str(error) if str(error).startswith((".", "[")) else ""
            return ValueError(where.format(key) + inner)
    return ValueError()


_SPAN = row(count(), count())
_STEPS = count(10**12)  # no training has more batches

REQUIRED: Mapping[str, Kind] = {
    "epoch": count(),
    "batch": _STEPS,
    "step": count(),
    "metrics": metrics(number),
    "reason": choice("epoch", "batch", "time", "interrupt", "train_end"),
    "saved_at": moment,
}

OPTIONAL: Mapping[str, Kind] = {
    "epoch_steps": _STEPS,
    "monitor": text,
    "mode": choice("min", "max"),
    "value": number,
    "best": flag,
    "keras_version": text,
    "backend": text,
    "best_value": number,
    "best_name": text,
    "arrays": mapping(row(checksum, count(), count())),
    "specs": listing(row(text, shape)),
    "image": fields(crc32=checksum, size=count(), record=_SPAN, head=row(count(), checksum)),
    "history": metrics(listing(number)),
    "epochs": listing(count()),
    "runs": listing(text),
    "template": text,
    "compiled": text,
    "optimizer": text,
    "build_config": json_object,
    "states": mapping(fields(version=count())),
    "sources": listing(json_object),
    "orbax": fields(
        arrays=mapping(row(text, shape, listing(text), shape, listing(checksum))),
        files=mapping(checksum),
        assets=mapping(checksum),
        parts=listing(text),
        groups=listing(listing(text)),
    ),
}


def check_sizes(record: Mapping[str, Any]) -> None:
    """Reject a record with far too many metrics before spending time on it.

    Raises:
        CheckpointCorruptError: If there are too many.
    """
    for name in ("metrics", "history"):
        if isinstance(record.get(name), dict) and len(record[name]) > _NAMES_LIMIT:
            raise CheckpointCorruptError(f"its record has no usable {name!r}")
