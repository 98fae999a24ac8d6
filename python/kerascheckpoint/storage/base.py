"""What every place for checkpoints offers, be it a disk or an object store.

Callers ask `places.storage_for(path)` for the place of a path and then go through the object alone,
so they do not know which it is. Paths are absolute local paths or URLs (see `location`).
"""

import dataclasses
from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from ..errors import CheckpointWriteError


@dataclasses.dataclass(frozen=True)
class FileStatus:
    """What a place knows of a file without reading it.

    Attributes:
        size: Bytes.
        modified: When it was written last, in seconds since 1970 (UTC).
        identity: Equal for two looks at a path only if nobody has put another file there meanwhile.
    """

    size: int
    modified: float
    identity: Hashable


class StagedFile(Protocol):
    """A file that is being written on this machine and that will appear at its target as a whole.

    Attributes:
        path: The file's temporary local name.
        fd: Its file descriptor, open for reading and writing.
    """

    path: str
    fd: int

    def sibling(self, suffix: str) -> str:
        """Return a second temporary name, for a writer that insists on a suffix of its own."""


class Storage(Protocol):
    """A place for checkpoints.

    Attributes:
        is_local: Whether its paths are files of this machine.
        concurrency: How many files it is sensible to read at the same time.
    """

    @property
    def is_local(self) -> bool: ...

    @property
    def concurrency(self) -> int: ...

    def resolve(self, path: str) -> str:
        """Return the same text for two paths that lead to the same file."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading at any position.

        Raises:
            CheckpointNotFoundError: If there is no file.
            CheckpointCorruptError: If it is a directory, a device or the like.
            OSError: If the place refuses (no permission, no connection, ...).
        """

    def status(self, path: str) -> FileStatus:
        """Return what is known of a file.

        Raises:
            CheckpointNotFoundError: If there is no file.
            OSError: If the place refuses.
        """

    def exists(self, path: str) -> bool:
        """Tell whether a file or a directory stands at `path`."""

    def is_directory(self, path: str) -> bool:
        """Tell whether `path` is a directory."""

    def paths(self, directory: str, levels: int = 1) -> list[str]:
        """Return the checkpoints that may lie in a directory, sorted: all files but temporary ones.

        A directory that is a checkpoint by its suffix is returned as one path. A directory that is
        missing or that cannot be read is empty; a place that is out of reach raises.

        Args:
            directory: Where to look.
            levels: 1 for what lies directly in `directory`, 2 for its subdirectories as well, ...

        Raises:
            OSError: If the place cannot be reached.
        """

    def prepare(self, directory: str, levels: int = 1, only_path: str | None = None) -> int | None:
        """Make a directory ready for checkpoints before the first batch costs anything.

        Makes it, sees that it can be written, and removes what killed runs left there.

        Args:
            directory: Where checkpoints will lie.
            levels: How many levels of directories they lie in, as for `paths`.
            only_path: The path of the only checkpoint, if all saves go to one.

        Returns:
            The free bytes of the place, `None` if it has no such number.

        Raises:
            CheckpointWriteError: If files could not be written there, with the reason.
        """

    def atomic_write(
        self, path: str, root: str | None = None
    ) -> AbstractContextManager[StagedFile]:
        """Write a file: the body of the `with` block writes, its end publishes.

        The file appears at `path` as a whole, durable, or the one that stood there stays.

        Args:
            path: Where the file will appear. Missing directories are made.
            root: A directory above it that is not made again if it has been deleted.

        Raises:
            CheckpointWriteError: If the place refuses. `published` tells whether the file stands at
                `path` all the same.
        """

    def delete(self, path: str) -> None:
        """Delete a checkpoint; one that is gone already is no error.

        Raises:
            OSError: If the place refuses.
        """


def write_error(path: str, cause: OSError, *, published: bool = False) -> CheckpointWriteError:
    """Return the error that names the path and the system's reason.

    Args:
        path: The checkpoint.
        cause: What the system said.
        published: Whether the new file stands at `path` all the same.
    """
    reason = cause.strerror or str(cause) or type(cause).__name__
    text = f"could not write checkpoint {path!r}: {reason}"
    if published:
        text = f"checkpoint {path!r} is written, but may not survive a power failure: {reason}"
    error = CheckpointWriteError(text)
    error.errno, error.strerror, error.filename = cause.errno, cause.strerror, path
    error.published = published
    return error
