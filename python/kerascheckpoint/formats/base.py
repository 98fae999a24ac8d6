"""The interface of every form of a checkpoint: how to write one, and how to read an open one.

The suffix of a path decides the form (`forms.form_of`). A checkpoint is opened once and passed
along, so that its info, its verification and its arrays come from the same file, even if another
run replaces it meanwhile.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

import numpy as np

from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointCorruptError, CheckpointError, CheckpointSchemaError
from ..model_state import STATE, ArraySpec, Index, ModelSnapshot, ObjectGroup
from ..printable import printable
from ..storage.base import Storage
from .writers import ALONE, Writers


class ForeignFileError(CheckpointCorruptError):
    """The file is sound, but not a checkpoint."""


@contextlib.contextmanager
def reporting(path: str) -> Iterator[None]:
    """Turn every error in reading a file into one that names the file."""
    try:
        yield
    except CheckpointSchemaError as error:
        raise CheckpointSchemaError(f"cannot read {path!r}: {printable(str(error))}") from None
    except CheckpointCorruptError as error:
        raise type(error)(f"{path!r} is damaged: {printable(str(error))}") from None
    except (CheckpointError, ImportError):
        raise
    except Exception as error:
        text = printable(str(error)) or type(error).__name__
        raise CheckpointCorruptError(f"{path!r} is damaged or not a checkpoint: {text}") from error


@dataclasses.dataclass(frozen=True)
class Verification:
    """The result of verifying an undamaged checkpoint.

    Attributes:
        has_checksums: Whether every stored array was compared with a checksum.
        is_changed: Whether another program has changed the file without harming an array.
    """

    has_checksums: bool
    is_changed: bool = False


class OpenCheckpoint(abc.ABC):
    """A checkpoint that is open for reading; a context manager.

    Attributes:
        path: The path by which it was opened.
        info: Its info.
        record: All fields of its record; `None` for a stock Keras file.
    """

    path: str
    info: CheckpointInfo
    record: "dict[str, Any] | None"
    _verification: Verification | None = None

    def __enter__(self) -> "OpenCheckpoint":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abc.abstractmethod
    def close(self) -> None:
        """Close it; may be called twice."""

    def verify(self) -> Verification:
        """Check structure, sizes and every byte that has a checksum; later calls are free.

        Raises:
            CheckpointCorruptError: If anything is wrong; the message names the file and the damage.
        """
        if self._verification is None:
            with reporting(self.path):
                self._verification = self._verify()
        return self._verification

    def trust(self) -> None:
        """Count as verified, because another process of the training has verified it."""
        self._verification = Verification(has_checksums=True)

    @abc.abstractmethod
    def _verify(self) -> Verification:
        """Check everything; raise on damage."""

    def arrays(self) -> dict[str, ArraySpec]:
        """Return the model's arrays by name, which is their path in a `.weights.h5` file.

        Raises:
            CheckpointCorruptError: If the arrays cannot be found.
        """
        with reporting(self.path):
            found = self._arrays().items()
        return {name: array for name, array in found if not name.startswith(STATE)}

    def read_state(self, name: str) -> "np.ndarray[Any, Any]":
        """Return an array that is not the model's, by the name that the record has for it.

        Raises:
            CheckpointCorruptError: If it is missing, or its bytes differ from their checksum.
        """
        with reporting(self.path):
            array = self._arrays().get(name) if name.startswith(STATE) else None
            if array is None:
                raise CheckpointCorruptError(f"it lacks the array {name!r}")
        return self.read(array)

    @abc.abstractmethod
    def _arrays(self) -> dict[str, ArraySpec]:
        """Find the arrays; raise on damage."""

    def read(self, array: ArraySpec) -> "np.ndarray[Any, Any]":
        """Return an array from `arrays`; its dtype may be replaced by another of the same size.

        Raises:
            CheckpointCorruptError: If its bytes are missing or do not match their checksum.
        """
        memory = np.empty(array.nbytes, np.uint8)
        done = 0
        for piece in self.pieces(array):
            memory[done : done + piece.size] = piece
            done += piece.size
        return memory.view(array.dtype).reshape(array.shape)

    def part_reader(self, array: ArraySpec) -> Callable[[Index], "np.ndarray[Any, Any]"]:
        """Return a function that reads parts of an array, given their slices.

        It reads no more than it needs if the form allows that, else the whole array once.

        Raises:
            CheckpointCorruptError: Here or from the function, if bytes are missing or damaged.
        """
        found = self.read(array)
        return lambda index: found[index]

    def pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        """Yield an array's bytes (uint8) in order, in pieces of whole elements and a few MB.

        Raises:
            CheckpointCorruptError: If bytes are missing; after the last piece, if the array does
                not match its checksum.
        """
        with reporting(self.path):
            yield from self._pieces(array)

    @abc.abstractmethod
    def _pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        """Yield the pieces; raise on damage."""

    def groups(self) -> list[ObjectGroup]:
        """Return the objects of the model that have a group in the weights, if known."""
        return []

    def tree(self) -> dict[str, tuple[str, ...]]:
        """Return where Keras' nested state has the arrays, by name, as far as that is known."""
        return {}

    def config(self) -> str | None:
        """Return the text of the model's config; `None` if only weights are stored."""
        return None

    def assets(self) -> list[str]:
        """Return the paths of the model's asset files, relative to the assets folder."""
        return []

    def extract_assets(self, directory: str) -> None:
        """Copy the asset files into an existing directory."""
        raise FileNotFoundError(f"{self.path!r} holds no assets")

    @abc.abstractmethod
    def local_copy(self, directory: str) -> str:
        """Return a local path from which Keras itself can load exactly these weights.

        Args:
            directory: An existing directory for a temporary file.
        """


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a checkpoint goes.

    Attributes:
        path: Its path.
        storage: Its place.
        root: A directory above it that is not created again if it was deleted.
        writers: The processes that write it.
    """

    path: str
    storage: Storage
    root: str | None = None
    writers: Writers = ALONE


@dataclasses.dataclass(frozen=True)
class KerasSave:
    """A model that Keras itself has to save.

    Attributes:
        write: Lets Keras write a file at a path.
        arrays: What the file is to hold beside the model, by names that begin with `STATE`.
    """

    write: Callable[[str], None]
    arrays: "Mapping[str, np.ndarray[Any, Any]]" = dataclasses.field(default_factory=dict)

    def with_arrays(self, arrays: "Mapping[str, np.ndarray[Any, Any]]") -> "KerasSave":
        """Return the same for a file that holds these arrays."""
        return dataclasses.replace(self, arrays=arrays)


class CheckpointWriter(Protocol):
    """Writes one checkpoint after the other and keeps what the next one can reuse."""

    @property
    def offsets(self) -> Mapping[str, int]:
        """Offset of each array in the last checkpoint, in bytes, if staging should align to it."""

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint and publish it as a whole.

        Args:
            target: Where it goes.
            content: Its content, of the type that the form takes.
            fields: The record's fields, without checksums.

        Raises:
            CheckpointWriteError: If it could not be written.
        """


class Form(Protocol):
    """One form of a checkpoint.

    Attributes:
        suffix: The suffix of its paths.
        weights_only: Whether it holds weights only.
        carries_record: Whether it has a record, so that training can resume from it.
        takes: What its writer takes: a captured `"snapshot"` or a `"keras save"`.
        processes: Which processes of a training write it together: the `"first"` alone or `"all"`.
    """

    @property
    def suffix(self) -> str: ...
    @property
    def weights_only(self) -> bool: ...
    @property
    def carries_record(self) -> bool: ...
    @property
    def takes(self) -> Literal["snapshot", "keras save"]: ...
    @property
    def processes(self) -> Literal["first", "all"]: ...

    @property
    def written_by_keras(self) -> "Form":
        """The form that writes the same files for a model that only Keras can save."""

    def check(self, path: str, storage: Storage) -> None:
        """Check that checkpoints of this form can be written at a place, before any training.

        Args:
            path: What the user asked for, to be named.
            storage: The place.

        Raises:
            ImportError: If a package that it needs is not installed.
            ValueError: If the place cannot hold this form.
        """

    def try_out(self, directory: str, storage: Storage) -> None:
        """Check access that the place has not checked; raise a CheckpointWriteError with why."""

    def writer(self) -> CheckpointWriter:
        """Return a new writer."""

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a checkpoint.

        Raises:
            CheckpointNotFoundError: If there is none at `path`.
            CheckpointCorruptError: If it is not a readable one.
            CheckpointSchemaError: If its record is newer than this version reads.
        """
