"""Find the files at a path that may be checkpoints, and read what each says of itself."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
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
from .file_kind import DIRECTORY_SUFFIXES, SUFFIXES, suffix_of
from .formats.base import ForeignFileError
from .formats.forms import open_checkpoint, reading_many
from .notify import warn
from .policies.file_template import FileTemplate
from .storage.base import Storage
from .storage.places import storage_for


@dataclasses.dataclass(frozen=True)
class FoundFile:
    """A readable checkpoint, as it was when its directory was listed.

    Attributes:
        info: Its info.
        run: Identifier of the run that wrote it; `None` for a stock Keras file.
        template: Template of the file names of that run.
        saved_at: Time of the save, as its record has it.
    """

    info: CheckpointInfo
    run: str | None
    template: str | None
    saved_at: str | None

    @classmethod
    def of(cls, info: CheckpointInfo, record: Mapping[str, Any] | None) -> "FoundFile":
        """Return what a list keeps of an open checkpoint."""
        record = record or {}
        run = (record.get("runs") or [None])[-1]
        return cls(info, run, record.get("template"), record.get("saved_at"))


def place_of(
    filepath: "str | os.PathLike[str]", storage_options: Mapping[str, Any] | None
) -> Storage:
    """Return the place of a user's path.

    Raises:
        TypeError: If `filepath` is not a path.
        ValueError: If it is empty.
    """
    path = location.absolute(filepath)
    if not os.fspath(filepath):
        raise ValueError(f"filepath must name a directory, a template or a file, not {filepath!r}.")
    return storage_for(path, storage_options)


def paths_at(filepath: "str | os.PathLike[str]", storage: Storage) -> list[str]:
    """Return the files at a user's path that could be checkpoints, sorted by name.

    Args:
        filepath: A directory, a template or one file.
        storage: Its place.
    """
    text = location.absolute(filepath)
    if storage.is_directory(text) and not text.endswith(DIRECTORY_SUFFIXES):
        return [path for path in storage.paths(text) if path.endswith(SUFFIXES)]
    if storage.exists(text):
        return [text]
    return paths_of(FileTemplate.parse(filepath), storage)


def may_hold_several(filepath: "str | os.PathLike[str]", storage: Storage) -> bool:
    """Tell whether a user's path is a directory or a template, where several files may be."""
    text = location.absolute(filepath)
    return storage.is_directory(text) or bool(FileTemplate.parse(filepath).names)


def paths_of(template: FileTemplate, storage: Storage) -> list[str]:
    """Return the files whose names fit a template, sorted by name."""
    paths = storage.paths(template.directory, template.levels)
    return [path for path in paths if template.matches(path)]


def warn_of_nothing(filepath: "str | os.PathLike[str]", storage: Storage) -> None:
    """Warn of the part of a user's path that does not exist, if any."""
    text = location.absolute(filepath)
    if storage.is_directory(text):
        return
    template = FileTemplate.parse(filepath)
    if template.names and not storage.is_directory(template.directory):
        warn(f"there is no directory {template.directory!r}")
    elif not template.names:
        warn(f"there is no file or directory {text!r}")


def read_all(
    paths: Iterable[str], storage: Storage, *, refuse_newer: bool = False
) -> list[FoundFile]:
    """Read what each file says of itself; warn of checkpoints that cannot be read.

    Args:
        paths: The files.
        storage: Their place.
        refuse_newer: Whether a checkpoint of a newer version of this package is an error.

    Returns:
        The readable checkpoints, oldest first.

    Raises:
        CheckpointSchemaError: If a newer version wrote one of them and `refuse_newer` is true.
        CheckpointUnreachableError: If the place refuses access or does not answer.
    """
    files = []
    for path, found in _look_at(list(paths), storage):
        if isinstance(found, FoundFile):
            files.append(found)
        elif isinstance(found, CheckpointNotFoundError | ForeignFileError):
            pass  # removed meanwhile, or an .h5 file that is not a checkpoint
        elif isinstance(found, CheckpointUnreachableError):
            raise found  # a list without it would hide it
        elif refuse_newer and isinstance(found, CheckpointSchemaError):
            raise found
        elif suffix_of(path):
            warn(f"not listed: {found}")
    return sorted(files, key=lambda file: file.info.age_key)


def _look_at(paths: list[str], storage: Storage) -> "list[tuple[str, FoundFile | Exception]]":
    """Return what was found at each path, or the error; read as many at a time as suits."""

    def look(path: str, attempts: int = 2) -> "FoundFile | Exception":
        try:
            with open_checkpoint(path, storage) as checkpoint:
                return FoundFile.of(checkpoint.info, checkpoint.record)
        except (CheckpointError, OSError) as error:
            is_replaced = isinstance(error, CheckpointCorruptError) and attempts > 1
            if is_replaced and not storage.is_local:
                return look(path, attempts - 1)  # maybe a training replaced it between two reads
            return error

    with reading_many():
        if storage.concurrency == 1:
            return [(path, look(path)) for path in paths]
        with ThreadPoolExecutor(storage.concurrency) as pool:
            return list(zip(paths, pool.map(look, paths), strict=True))
