"""The interface of every place for checkpoints, whether a disk or an object store.

`places.storage_for(path)` returns the place of a path; callers use only the methods below. Paths
are absolute local paths or URLs (see `location`).
"""

import dataclasses
from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol

from ..errors import CheckpointWriteError


@dataclasses.dataclass(frozen=True)
class FileStatus:
    """What a place knows about a file without reading it.

    Attributes:
        size: Size in bytes.
        modified: Time of the last write, in seconds since 1970 (UTC).
        identity: Changes when another file takes the path.
    """

    size: int
    modified: float
    identity: Hashable


class StagedFile(Protocol):
    """A local file that is being written and will appear at its target as a whole.

    Attributes:
        path: The temporary local path.
        fd: The file descriptor, open for reading and writing. The file is empty, unless the writer
            said that it overwrites.
    """

    path: str
    fd: int

    def sibling(self, suffix: str) -> str:
        """Return a second temporary path that ends in `suffix`, for a writer that needs it."""


class Storage(Protocol):
    """A place for checkpoints.

    Attributes:
        is_local: Whether its paths are files on this machine.
        concurrency: Number of files to read at the same time.
        options: What the user gave to reach it; empty for local files.
    """

    @property
    def is_local(self) -> bool: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def options(self) -> Mapping[str, Any]: ...

    def resolve(self, path: str) -> str:
        """Return the same text for two paths that lead to the same file."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading at any position.

        Raises:
            CheckpointNotFoundError: If there is no file.
            CheckpointCorruptError: If it is not a regular file.
            OSError: If it cannot be opened (no permission, no connection, ...).
        """

    def fetching(self) -> "Storage":
        """Return the same place for files that are read as a whole, some parts more than once.

        If it is remote, a file is fetched once, to a local file, while it is already being read.
        """

    def status(self, path: str) -> FileStatus:
        """Return size, time and identity of a file.

        Raises:
            CheckpointNotFoundError: If there is no file.
            OSError: If the place cannot tell.
        """

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or a directory at `path`."""

    def is_directory(self, path: str) -> bool:
        """Tell whether `path` is a directory."""

    def paths(self, directory: str, levels: int = 1) -> list[str]:
        """Return the files in a directory, sorted, without temporary ones.

        A directory with the suffix of a checkpoint counts as a file. A directory that is missing or
        unreadable counts as empty.

        Args:
            directory: Where to look.
            levels: 1 looks in `directory` itself, 2 in its subdirectories as well, and so on.

        Raises:
            OSError: If the place cannot be reached.
        """

    def files_below(self, directory: str) -> dict[str, FileStatus]:
        """Return all files below a directory by their path relative to it, with `/` in it.

        A directory that is missing counts as empty. In an object store this is one request.

        Raises:
            OSError: If the place cannot be reached.
        """

    def prepare(self, directory: str, levels: int = 1, only_path: str | None = None) -> int | None:
        """Prepare a directory for checkpoints before training begins.

        Creates it, checks that it can be written, and removes what killed runs left there.

        Args:
            directory: The directory of the checkpoints.
            levels: Number of directory levels that hold checkpoints, as for `paths`.
            only_path: The path of the only checkpoint, if all saves go to one path.

        Returns:
            The free space in bytes, `None` if unknown.

        Raises:
            CheckpointWriteError: If files cannot be written there, with the reason.
        """

    def atomic_write(
        self, path: str, root: str | None = None, *, overwrites: bool = False
    ) -> AbstractContextManager[StagedFile]:
        """Write a file in the body of a `with` block; the end of the block publishes it.

        Either the whole file appears at `path`, durable, or the earlier file stays.

        Args:
            path: Where the file will appear. Missing directories are created.
            root: A directory above `path` that is not created again if it was deleted.
            overwrites: Whether the body overwrites everything that the staged file holds, and cuts
                off what is left. Then it may be the one of an earlier write, until `release`.

        Raises:
            CheckpointWriteError: If the file could not be written. `published` tells whether it is
                at `path` all the same.
        """

    def release(self) -> None:
        """Give back what is kept from one write for the next."""

    def delete(self, path: str) -> None:
        """Delete a checkpoint; do nothing if it is gone already.

        Raises:
            OSError: If it cannot be deleted.
        """


def reason_of(error: Exception) -> str:
    """Return the system's words for an error, or what else there is to say about it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def write_error(path: str, cause: OSError, *, published: bool = False) -> CheckpointWriteError:
    """Return an error that names the path and the system's reason.

    Args:
        path: The checkpoint.
        cause: The error from the system.
        published: Whether the new file is at `path` all the same.
    """
    reason = reason_of(cause)
    text = f"could not write checkpoint {path!r}: {reason}"
    if published:
        text = f"checkpoint {path!r} is written, but may not survive a power failure: {reason}"
    error = CheckpointWriteError(text)
    error.errno, error.strerror, error.filename = cause.errno, cause.strerror, path
    error.published = published
    return error
