"""Find checkpoints: all of them, the newest and the best."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import location
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
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
    CheckpointUnreachableError,
)
from .file_kind import DIRECTORY_SUFFIXES, SUFFIXES, suffix_of
from .formats.base import ForeignFileError, OpenCheckpoint
from .formats.forms import open_checkpoint, reading_many
from .notify import warn
from .policies.file_template import FileTemplate
from .storage.base import Storage
from .storage.places import storage_for
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
    storage = _place_of(filepath, storage_options)
    paths = _paths(filepath, storage)
    if not paths:
        _warn_of_nothing(filepath, storage)
    return _read_all(paths, storage)


def paths_at(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the files that `list_checkpoints` would try to read."""
    return _paths(filepath, _place_of(filepath, storage_options))


def is_place_of_several(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> bool:
    """Tell whether a path is a directory or a template, where there may be several checkpoints."""
    storage = _place_of(filepath, storage_options)
    text = location.absolute(filepath)
    return storage.is_directory(text) or bool(FileTemplate.parse(filepath).names)


def list_of(template: FileTemplate, storage: Storage | None = None) -> CheckpointList:
    """List the checkpoints whose names fit a template, like `list_checkpoints`.

    Args:
        template: The template.
        storage: Its place; `None` finds it by the path.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote one of them.
    """
    return _read_all(_paths_of(template, storage), storage, refuse_newer=True)


def _read_all(
    paths: Iterable[str], storage: Storage | None = None, *, refuse_newer: bool = False
) -> CheckpointList:
    infos = []
    for path, found in _look_at(list(paths), storage):
        if isinstance(found, CheckpointInfo):
            infos.append(found)
        elif isinstance(found, CheckpointNotFoundError | ForeignFileError):
            pass  # removed meanwhile, or an .h5 file that is not a checkpoint
        elif isinstance(found, CheckpointUnreachableError):
            raise found  # a list without it would hide it
        elif refuse_newer and isinstance(found, CheckpointSchemaError):
            raise found
        elif suffix_of(path):
            warn(f"not listed: {found}")
    return CheckpointList(sorted(infos, key=lambda info: info.age_key))


def _look_at(
    paths: list[str], storage: Storage | None
) -> "list[tuple[str, CheckpointInfo | Exception]]":
    """Return each path with its info or error; read as many at a time as suits the place."""

    def look(path: str) -> "CheckpointInfo | Exception":
        try:
            with open_checkpoint(path, storage) as checkpoint:
                return checkpoint.info
        except (CheckpointError, OSError) as error:
            return error

    with reading_many():
        if storage is None or storage.concurrency == 1:
            return [(path, look(path)) for path in paths]
        with ThreadPoolExecutor(storage.concurrency) as pool:
            return list(zip(paths, pool.map(look, paths), strict=True))


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
    return first_valid(reversed(infos), _place_of(filepath, storage_options))


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
    return first_valid(candidates, _place_of(filepath, storage_options))


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
    checkpoint = open_first_valid(ours, _place_of(filepath, storage_options))
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


def _place_of(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None
) -> Storage:
    path = location.absolute(filepath)
    if not os.fspath(filepath):
        raise ValueError(f"filepath must name a directory, a template or a file, not {filepath!r}.")
    return storage_for(path, storage_options)


def _paths(filepath: "str | os.PathLike[str]", storage: Storage) -> list[str]:
    """Return the files that could be checkpoints, sorted by name."""
    text = location.absolute(filepath)
    if storage.is_directory(text) and not text.endswith(DIRECTORY_SUFFIXES):
        return [path for path in storage.paths(text) if path.endswith(SUFFIXES)]
    if storage.exists(text):
        return [text]
    return _paths_of(FileTemplate.parse(filepath), storage)


def _warn_of_nothing(filepath: "str | os.PathLike[str]", storage: Storage) -> None:
    """Warn of the part of a path that does not exist."""
    text = location.absolute(filepath)
    if storage.is_directory(text):
        return
    template = FileTemplate.parse(filepath)
    if template.names and not storage.is_directory(template.directory):
        warn(f"there is no directory {template.directory!r}")
    elif not template.names:
        warn(f"there is no file or directory {text!r}")


def _paths_of(template: FileTemplate, storage: Storage | None = None) -> list[str]:
    place = storage or storage_for(template.directory)
    paths = place.paths(template.directory, template.levels)
    return [path for path in paths if template.matches(path)]
