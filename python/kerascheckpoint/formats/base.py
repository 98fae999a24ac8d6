"""What every form of a checkpoint offers: how it is written, and one that is open for reading.

A form is found by a path's suffix (`forms.form_of`). A checkpoint is opened once and passed along,
so that what is said of it, what is verified and what is read come from one and the same file, even
if another run replaces it meanwhile.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

import numpy as np

from ..checkpoint_info import CheckpointInfo
from ..errors import CheckpointCorruptError, CheckpointError, CheckpointSchemaError
from ..model_state import ArraySpec, Group, Index, ModelSnapshot
from ..printable import printable
from ..storage.base import Storage


class ForeignFileError(CheckpointCorruptError):
    """A sound file, and somebody else's."""


@contextlib.contextmanager
def reporting(path: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into an error that names the file."""
    try:
        yield
    except CheckpointSchemaError as error:
        raise CheckpointSchemaError(f"cannot read {path!r}: {error}") from None
    except CheckpointCorruptError as error:
        raise type(error)(f"{path!r} is damaged: {error}") from None
    except CheckpointError:
        raise
    except Exception as error:
        text = printable(str(error)) or type(error).__name__
        raise CheckpointCorruptError(f"{path!r} is damaged or no checkpoint: {text}") from error


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a check of a whole checkpoint found, beside damage, which raises.

    Attributes:
        has_checksums: Whether every stored array was compared with a checksum.
        is_changed: Whether another program changed the file since it was written, without harm to
            any array.
    """

    has_checksums: bool
    is_changed: bool = False


class OpenCheckpoint(abc.ABC):
    """A checkpoint that is open for reading, a context manager.

    Attributes:
        path: Where it was opened.
        info: What it says of itself.
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
        """Close it; harmless when done twice."""

    def verify(self) -> Verification:
        """Check structure, sizes and every byte that has a checksum, once.

        Raises:
            CheckpointCorruptError: If anything is wrong; the text names the file and says what.
        """
        if self._verification is None:
            with reporting(self.path):
                self._verification = self._verify()
        return self._verification

    def trust(self) -> None:
        """Count as verified: another process of the training has verified it."""
        self._verification = Verification(has_checksums=True)

    @abc.abstractmethod
    def _verify(self) -> Verification:
        """Check everything; raise whatever is found."""

    def arrays(self) -> dict[str, ArraySpec]:
        """Return every stored array by its name, the path that `.weights.h5` files give it.

        Raises:
            CheckpointCorruptError: If they cannot be found.
        """
        with reporting(self.path):
            return self._arrays()

    @abc.abstractmethod
    def _arrays(self) -> dict[str, ArraySpec]:
        """Find the arrays; raise whatever is wrong."""

    def read(self, array: ArraySpec) -> "np.ndarray[Any, Any]":
        """Return an array that `arrays` gave; its dtype may be replaced by one of the same size.

        Raises:
            CheckpointCorruptError: If its bytes are missing or differ from their checksum.
        """
        memory = np.empty(array.nbytes, np.uint8)
        done = 0
        for piece in self.pieces(array):
            memory[done : done + piece.size] = piece
            done += piece.size
        return memory.view(array.dtype).reshape(array.shape)

    def read_part(self, array: ArraySpec, index: Index) -> "np.ndarray[Any, Any]":
        """Return a part of an array, and keep no more than that where the form allows it.

        Args:
            array: As for `read`.
            index: Which part.

        Raises:
            CheckpointCorruptError: If its bytes are missing.
        """
        return self.read(array)[index]

    def pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        """Yield an array's bytes (uint8), in order, in pieces of whole elements and a few MB.

        Raises:
            CheckpointCorruptError: If bytes are missing, or after the last piece if the array
                differs from its checksum.
        """
        with reporting(self.path):
            yield from self._pieces(array)

    @abc.abstractmethod
    def _pieces(self, array: ArraySpec) -> "Iterator[np.ndarray[Any, Any]]":
        """Yield the pieces; raise whatever is wrong."""

    def groups(self) -> list[Group]:
        """Return the objects of the model that the weights have a place for, if that is known."""
        return []

    def config(self) -> str | None:
        """Return the text of the model's config; `None` if only weights are stored."""
        return None

    def assets(self) -> list[str]:
        """Return the paths of the model's asset files, below the checkpoint's folder of assets."""
        return []

    def extract_assets(self, directory: str) -> None:
        """Put the asset files below `directory`, an existing one."""
        raise FileNotFoundError(f"{self.path!r} holds no assets")

    @abc.abstractmethod
    def local_copy(self, directory: str) -> str:
        """Return a local path from which Keras itself can load these very weights.

        Args:
            directory: An existing directory where a file may be made.
        """


class Writers(Protocol):
    """The processes that write one checkpoint together, and what they tell each other meanwhile.

    Every process makes the same calls, on any thread. A phase is a name that each call has once.

    Attributes:
        index: The number of this process; the first one is 0, and publishes.
        count: How many there are.
    """

    @property
    def index(self) -> int: ...
    @property
    def count(self) -> int: ...

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Send a value (JSON) to the first process, which waits for those of all and returns them.

        Raises:
            CheckpointWriteError: If one is not heard of for long.
        """

    def hear_first(self, phase: str, value: Any = None) -> Any:
        """Return the value (JSON) that the first process gives, in every process.

        Raises:
            CheckpointWriteError: If the first one is not heard of for long.
        """


@dataclasses.dataclass(frozen=True)
class OneWriter:
    """A process that writes alone: see `Writers`."""

    index: int = 0
    count: int = 1

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Return the only value."""
        return [value]

    def hear_first(self, phase: str, value: Any = None) -> Any:
        """Return the value."""
        return value


ALONE = OneWriter()


def give_up(writers: Writers, error: BaseException) -> None:
    """Tell the others that this process cannot even begin with its part of a save."""
    report = {"error": str(error) or type(error).__name__}
    if writers.index == 0:
        writers.hear_first(BEGIN, report)
    else:
        writers.collect(PARTS, report)


# The phases of a save by several processes.
BEGIN, PARTS, END = "begin", "parts", "end"


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a checkpoint goes.

    Attributes:
        path: Its path.
        storage: The place that it belongs to.
        root: A directory above it that is not made again if it has been deleted.
        writers: Who writes it.
    """

    path: str
    storage: Storage
    root: str | None = None
    writers: Writers = ALONE


@dataclasses.dataclass(frozen=True)
class KerasSave:
    """A model that Keras itself has to save: `write` lets it write a file at a path."""

    write: Callable[[str], None]


class CheckpointWriter(Protocol):
    """Writes one checkpoint after the other and keeps what the next can use again."""

    @property
    def offsets(self) -> Mapping[str, int]:
        """Where each array lay in the last checkpoint, in bytes, if that matters for staging."""

    def save(
        self, target: Target, content: "ModelSnapshot | KerasSave", fields: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint and publish it whole.

        Args:
            target: Where it goes.
            content: What it holds, of the kind that the form takes.
            fields: The record's fields, without checksums.

        Raises:
            CheckpointWriteError: If it could not be written.
        """


class Form(Protocol):
    """One form of a checkpoint.

    Attributes:
        suffix: What its paths end in.
        weights_only: Whether it holds weights and not a whole model.
        carries_record: Whether training can resume from it.
        takes: What its writer takes: a captured `"snapshot"`, or a `"keras save"`.
        processes: Which processes of a training take part in writing one: the `"first"` or `"all"`.
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
        """The form to take for a model that only Keras can save: the same files."""

    def writer(self) -> CheckpointWriter:
        """Return a new writer."""

    def open(self, storage: Storage, path: str) -> OpenCheckpoint:
        """Open a checkpoint.

        Raises:
            CheckpointNotFoundError: If there is none at `path`.
            CheckpointCorruptError: If it is not a readable one.
            CheckpointSchemaError: If its record is newer than this version reads.
        """
