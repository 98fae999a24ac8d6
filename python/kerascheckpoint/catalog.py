"""Look up checkpoints: all of them, the newest and the best."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .checkpoint_info import CheckpointInfo, Mode
from .checkpoint_list import (
    CheckpointList,
    best_first,
    by_value,
    direction_for,
    last_monitor,
    metric_names,
)
from .errors import (
    CheckpointCorruptError,
    CheckpointNotFoundError,
    CheckpointUnreachableError,
)
from .finding import paths_at, place_of, read_all, warn_of_nothing
from .formats.base import OpenCheckpoint
from .formats.forms import open_checkpoint, reading_many
from .notify import warn
from .storage.base import Storage
from .verify import warn_of_changes


def list_checkpoints(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> CheckpointList:
    """List checkpoints, oldest first (by `saved_at`, then `step`).

    Args:
        filepath: A directory, a template such as `"run/{epoch:02d}-{val_loss:.2f}.keras"`, or one
            file; a path or a URL.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        One entry per readable file. Unfinished and foreign files are skipped. If a file with the
        suffix of a checkpoint cannot be read, a `CheckpointWarning` names it.

    Raises:
        TypeError: If `filepath` is not a path.
        ValueError: If it is empty or a malformed template.
        CheckpointUnreachableError: If a remote place refuses access or does not answer.
    """
    storage = place_of(filepath, storage_options)
    paths = paths_at(filepath, storage)
    if not paths:
        warn_of_nothing(filepath, storage)
    return CheckpointList(file.info for file in read_all(paths, storage))


def latest_checkpoint(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> CheckpointInfo | None:
    """Return the newest undamaged checkpoint, or `None` if there is none.

    Damaged files are skipped with a `CheckpointWarning`.

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).
    """
    infos = list_checkpoints(filepath, storage_options)
    return first_valid(reversed(infos), place_of(filepath, storage_options))


def best_checkpoint(
    filepath: "str | os.PathLike[str]",
    monitor: str | None = None,
    mode: Mode | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> CheckpointInfo | None:
    """Return the checkpoint with the best value of a metric, or `None` if none has one.

    Of equal values, the earliest wins, as in the callback. Damaged files are skipped with a
    `CheckpointWarning`. A stock Keras file has no known value, so it is never the best.

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`.
        monitor: Name of the metric; `None` uses the one that the newest file monitored.
        mode: `"min"` or `"max"`; `None` uses the direction stored in the files, else the one that
            the metric's name implies.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Raises:
        ValueError: If `mode` is not one of these, or is `None` and the direction of `monitor` is
            unknown.
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min', 'max' or None. Received: mode={mode!r}.")
    infos = list_checkpoints(filepath, storage_options)
    name = last_monitor(infos) if monitor is None else monitor
    known = metric_names(infos)
    if monitor is not None and infos and monitor not in known:
        warn(f"no checkpoint at {os.fspath(filepath)!r} has a metric {monitor!r}; {_named(known)}")
    if name is None or name not in known:
        return None
    direction = mode or direction_for(infos, name)
    if direction is None:
        raise ValueError(
            f"cannot tell whether {name!r} should be low or high: pass mode='min' or 'max'."
        )
    candidates = best_first(infos, name, direction)
    return first_valid(candidates, place_of(filepath, storage_options))


def _named(names: list[str]) -> str:
    if not names:
        return "there are no metrics"
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return "there are: " + ", ".join(repr(name) for name in names[:20]) + more


def checkpoint_history(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> dict[str, list[float]] | None:
    """Return the value of each metric in each epoch of a run, from its newest whole checkpoint.

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        `History.history` as of that save; `None` if no file has a record.
    """
    infos = list_checkpoints(filepath, storage_options)
    ours = [info for info in reversed(infos) if info.schema is not None]
    checkpoint = open_first_valid(ours, place_of(filepath, storage_options))
    if checkpoint is None:
        return None
    with checkpoint:
        record = checkpoint.record or {}
        return {name: list(values) for name, values in record.get("history", {}).items()}


def first_valid(
    infos: Iterable[CheckpointInfo], storage: Storage | None = None
) -> CheckpointInfo | None:
    """Return the first undamaged checkpoint; warn of those before it."""
    checkpoint = open_first_valid(infos, storage)
    if checkpoint is None:
        return None
    with checkpoint:
        warn_of_changes(checkpoint)
        return checkpoint.info


def open_first_valid(
    infos: Iterable[CheckpointInfo], storage: Storage | None = None
) -> OpenCheckpoint | None:
    """Open and verify the first undamaged checkpoint; warn of those before it.

    Returns:
        The checkpoint, which the caller closes, or `None`. Its info may be newer than the one in
        `infos`, if another run replaced the file meanwhile.
    """
    with reading_many():
        for info in infos:
            try:
                checkpoint = open_checkpoint(info.path, storage)
            except CheckpointUnreachableError:
                raise
            except (CheckpointCorruptError, OSError) as error:  # it may have vanished meanwhile
                warn(f"passed over: {error}")
                continue
            try:
                checkpoint.verify()
            except (CheckpointCorruptError, CheckpointNotFoundError) as error:
                checkpoint.close()
                warn(f"passed over: {error}")
            except BaseException:
                checkpoint.close()
                raise
            else:
                return checkpoint
    return None


def ranked(
    infos: list[CheckpointInfo], values: dict[str, float], direction: str
) -> Iterator[CheckpointInfo]:
    """Yield checkpoints, best first, by their values (by path); of equals the earliest."""
    return by_value(infos, values, "max" if direction == "max" else "min")
