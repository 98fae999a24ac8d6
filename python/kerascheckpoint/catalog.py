"""Find checkpoints: which files there are, the newest and the best of them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import location
from .checkpoint_info import CheckpointInfo
from .errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointSchemaError,
    CheckpointUnreachableError,
)
from .file_kind import LEGACY_SUFFIX, MODEL_SUFFIX, WEIGHTS_SUFFIX, suffix_of
from .formats.base import ForeignFileError, OpenCheckpoint
from .formats.forms import open_checkpoint, reading_many
from .notify import warn
from .policies.file_template import FileTemplate
from .policies.monitor import Direction, direction_of_name, is_improvement
from .storage.base import Storage
from .storage.places import storage_for


def list_checkpoints(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None = None
) -> list[CheckpointInfo]:
    """List checkpoints, oldest first (by `saved_at`, then `step`).

    Args:
        filepath: A directory, a template such as `"run/{epoch:02d}-{val_loss:.2f}.keras"`, or one
            file; a path or a URL.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Returns:
        One entry for each file that can be read. Unfinished and foreign files are passed over;
        a file with a checkpoint's suffix that cannot be read is named in a `CheckpointWarning`.

    Raises:
        TypeError: If `filepath` is no path.
        ValueError: If it is empty or a malformed template.
        CheckpointUnreachableError: If a remote place refuses or does not answer.
    """
    storage = _place_of(filepath, storage_options)
    return _read_all(_paths(filepath, storage), storage)


def list_of(template: FileTemplate, storage: Storage | None = None) -> list[CheckpointInfo]:
    """List the checkpoints whose names fit a template, oldest first, as `list_checkpoints` does.

    Args:
        template: The template.
        storage: Its place; `None` finds it by the path.

    Raises:
        CheckpointSchemaError: If a newer version of this package wrote one of them.
    """
    return _read_all(_paths_of(template, storage), storage, refuse_newer=True)


def _read_all(
    paths: Iterable[str], storage: Storage | None = None, *, refuse_newer: bool = False
) -> list[CheckpointInfo]:
    infos = []
    for path, found in _look_at(list(paths), storage):
        if isinstance(found, CheckpointInfo):
            infos.append(found)
        elif isinstance(found, CheckpointNotFoundError | ForeignFileError):
            pass  # removed since the directory was read, or an .h5 of somebody else's
        elif isinstance(found, CheckpointUnreachableError):
            raise found  # a list without it would look as if it were not there
        elif refuse_newer and isinstance(found, CheckpointSchemaError):
            raise found
        elif suffix_of(path):
            warn(f"not listed: {found}")
    return sorted(infos, key=lambda info: info.age_key)


def _look_at(
    paths: list[str], storage: Storage | None
) -> "list[tuple[str, CheckpointInfo | Exception]]":
    """Return what each file says of itself, or the error; as many at a time as the place likes."""

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
    """Return the newest checkpoint that is whole, or `None` if there is none.

    A damaged file is passed over with a `CheckpointWarning`.

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).
    """
    infos = list_checkpoints(filepath, storage_options)
    return first_valid(reversed(infos), _place_of(filepath, storage_options))


def best_checkpoint(
    filepath: "str | os.PathLike[str]",
    monitor: str | None = None,
    mode: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> CheckpointInfo | None:
    """Return the checkpoint with the best value of a metric, or `None` if none has one.

    Of equal values the earliest counts, as for the callback. A damaged file is passed over with a
    `CheckpointWarning`; a stock Keras file, of which no value is known, is never the best.

    Args:
        filepath: A directory, a template or one file, as for `list_checkpoints`.
        monitor: Name of the metric; `None` takes the one that the newest file monitored.
        mode: `"min"` or `"max"`; `None` takes the direction that the files were saved with, else
            that of the metric's name.
        storage_options: What fsspec needs to reach a URL (endpoint, credentials, ...).

    Raises:
        ValueError: If `mode` is unknown, or cannot be told for `monitor`.
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min', 'max' or None. Received: mode={mode!r}.")
    infos = [
        info for info in list_checkpoints(filepath, storage_options) if info.schema is not None
    ]
    named = [info for info in infos if info.monitor is not None]
    if monitor is None and named:
        monitor = named[-1].monitor
    values = {
        info.path: info.metrics[monitor]
        for info in infos
        if monitor in info.metrics and not info.is_cut_short
    }
    if monitor is None or not values:
        return None
    direction = mode or _saved_mode(infos, monitor) or direction_of_name(monitor)
    if direction is None:
        raise ValueError(
            f"whether less or more of {monitor!r} is better is not known: pass mode='min' or 'max'."
        )
    candidates = ranked([i for i in infos if i.path in values], values, direction)
    return first_valid(candidates, _place_of(filepath, storage_options))


def first_valid(
    infos: Iterable[CheckpointInfo], storage: Storage | None = None
) -> CheckpointInfo | None:
    """Return the first checkpoint whose file is undamaged; warn of those before it."""
    checkpoint = open_first_valid(infos, storage)
    if checkpoint is None:
        return None
    with checkpoint:
        return checkpoint.info


def open_first_valid(
    infos: Iterable[CheckpointInfo], storage: Storage | None = None
) -> OpenCheckpoint | None:
    """Open the first checkpoint that is undamaged, and verify it; warn of those before it.

    Returns:
        The checkpoint, which the caller closes, or `None`. What it says may be newer than its
        entry in `infos`, if another run replaced the file meanwhile.
    """
    with reading_many():
        for info in infos:
            try:
                checkpoint = open_checkpoint(info.path, storage)
            except (CheckpointCorruptError, CheckpointNotFoundError) as error:
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


def _saved_mode(infos: list[CheckpointInfo], monitor: str) -> str | None:
    modes = [info.mode for info in infos if info.monitor == monitor and info.mode]
    return modes[-1] if modes else None


def ranked(
    infos: list[CheckpointInfo], values: dict[str, float], direction: str
) -> Iterator[CheckpointInfo]:
    """Yield checkpoints, best first, by their values (by path); of equal ones the earliest."""
    side: Direction = "max" if direction == "max" else "min"
    finite = [info for info in infos if is_improvement(values[info.path], None, side)]
    sign = -1 if side == "max" else 1
    yield from sorted(finite, key=lambda info: sign * values[info.path])


def _place_of(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None
) -> Storage:
    if not os.fspath(filepath):
        raise ValueError(f"filepath must name a directory, a template or a file, not {filepath!r}.")
    return storage_for(location.absolute(filepath), storage_options)


def _paths(filepath: "str | os.PathLike[str]", storage: Storage) -> list[str]:
    """Return the files that could be checkpoints, sorted by name."""
    text = location.absolute(filepath)
    if storage.is_directory(text):
        suffixes = (MODEL_SUFFIX, WEIGHTS_SUFFIX, LEGACY_SUFFIX)
        return [path for path in storage.paths(text) if path.endswith(suffixes)]
    if storage.exists(text):
        return [text]
    return _paths_of(FileTemplate.parse(filepath), storage)


def _paths_of(template: FileTemplate, storage: Storage | None = None) -> list[str]:
    place = storage or storage_for(template.directory)
    paths = place.paths(template.directory, template.levels)
    return [path for path in paths if template.matches(path)]
