"""Object stores and remote file systems, through fsspec.

A checkpoint is written to a local file, then uploaded. In object stores it appears when the upload
is complete; elsewhere it is uploaded under a temporary name and renamed.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from ..errors import CheckpointNotFoundError, CheckpointWriteError
from ..file_kind import DIRECTORY_SUFFIXES
from ..location import parent
from . import filesystems, remote_leftovers, retry
from .base import FileStatus, write_error
from .leftovers import is_temporary
from .remote_file import RemoteFile
from .remote_staging import RemoteStagedFile, staging_directory

_CUTTING = {"?": "\ue03f", "#": "\ue023"}  # replaced by private-use characters
_READERS = 16  # files read at the same time, as each takes a few round trips
_CONNECTIONS = 4  # the same, if each thread needs its own connection


class RemoteStorage:
    """The place that a URL leads to. See `base.Storage`.

    Attributes:
        is_local: False.
    """

    is_local = False

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Serve the place of a URL, without connecting yet.

        Args:
            url: Any URL of this place.
            options: What fsspec needs to open it. `staging_directory` is not passed on: it is the
                local directory for files that wait for their upload, by default that of `tempfile`.

        Raises:
            ImportError: If the package for the protocol is missing; the message says what to
                install.
            ValueError: If fsspec does not know the protocol, or `staging_directory` is not a
                directory.
        """
        self._url = url
        self._options = dict(options or {})
        self._staging = staging_directory(self._options.pop("staging_directory", None))
        self._kind = filesystems.kind_of(url)
        self._connected = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_connected"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _connected=threading.local())

    @property
    def concurrency(self) -> int:
        """Number of files to read at the same time."""
        return _READERS if self._kind.is_shared else _CONNECTIONS

    @property
    def _fs(self) -> Any:
        """fsspec's file system, one per thread, because one connection would mix up the answers."""
        fs = getattr(self._connected, "fs", None)
        if fs is None:
            fs = self._connected.fs = filesystems.connect(self._url, self._options, self._kind)
        return fs

    def resolve(self, path: str) -> str:
        """Return the URL without trailing slashes."""
        return path.rstrip("/")

    def open(self, path: str) -> BinaryIO:
        """Open a file; only the parts that are read are fetched."""
        status = self.status(path)
        name = self._strip(path)

        def fetch(start: int, stop: int) -> bytes:
            with filesystems.reporting(path):
                return bytes(self._again(lambda: self._fs.cat_file(name, start=start, end=stop)))

        return cast(BinaryIO, RemoteFile(fetch, status.size, status.modified))

    def status(self, path: str) -> FileStatus:
        """Return size, time and identity."""
        with filesystems.reporting(path):
            info = self._info(path)
        if info["type"] == "directory" and not path.endswith(DIRECTORY_SUFFIXES):
            raise CheckpointNotFoundError(f"there is no checkpoint at {filesystems.shown(path)!r}")
        return filesystems.status_of(info)

    def exists(self, path: str) -> bool:
        """Tell whether there is a file or a directory at `path`."""
        return self._type(path) is not None

    def is_directory(self, path: str) -> bool:
        """Tell whether `path` is a directory, or in an object store a prefix of objects."""
        return self._type(path) == "directory"

    def paths(self, directory: str, levels: int = 1) -> list[str]:
        """Return the URLs of the files in a directory; see `base.Storage.paths`."""
        directory = directory.rstrip("/")
        found = []
        for name, is_directory in self._entries(directory):
            path = f"{directory}/{name}"
            if not is_directory or name.endswith(DIRECTORY_SUFFIXES):
                found.append(path)
            elif levels > 1:
                found += self.paths(path, levels - 1)
        return sorted(found)

    def prepare(self, directory: str, levels: int = 1, only_path: str | None = None) -> None:
        """Check that files can be written there by writing and deleting an empty one."""
        probe = remote_leftovers.temporary_name("probe")
        try:
            with filesystems.reporting(directory):
                self._again(lambda: self._make(directory), attempts=1)
                if only_path is not None and self._type(only_path) == "directory":
                    raise IsADirectoryError(None, "Is an existing directory")
                name = f"{self._strip(directory)}/{probe}"
                self._again(lambda: self._fs.pipe_file(name, b""), attempts=2)
                self._fs.rm_file(name)
        except OSError as error:
            raise write_error(filesystems.shown(only_path or directory), error) from error
        remote_leftovers.remove(self._fs, self._strip(directory), levels)

    @contextlib.contextmanager
    def atomic_write(self, path: str, root: str | None = None) -> Iterator[RemoteStagedFile]:
        """Write a local file, then upload it; the earlier file stays until the upload is done."""
        try:
            with RemoteStagedFile(self._staging, os.path.basename(path)) as staged:
                yield staged
                staged.flush()
                with filesystems.reporting(path):
                    self._again(lambda: self._upload(staged.path, path, root))
        except CheckpointWriteError:
            raise
        except OSError as error:
            raise write_error(filesystems.shown(path), error) from error

    def delete(self, path: str) -> None:
        """Delete a checkpoint; do nothing if it is gone already."""
        name = self._strip(path)
        with contextlib.suppress(FileNotFoundError), filesystems.reporting(path):
            if self._type(path) == "directory":
                self._again(lambda: filesystems.remove_tree(self._fs, name))
            else:
                self._again(lambda: self._fs.rm_file(name))

    def _strip(self, path: str) -> str:
        """Return fsspec's name for a URL.

        Some of its file systems cut names at `?` and `#`, which may be part of a name here.
        """
        for character, stand_in in _CUTTING.items():
            path = path.replace(character, stand_in)
        name = str(self._fs._strip_protocol(path)).rstrip("/")
        for character, stand_in in _CUTTING.items():
            name = name.replace(stand_in, character)
        return name

    def _again(self, action: Any, attempts: int | None = None) -> Any:
        """Run an action; after a temporary failure, run it again on a new connection."""
        return retry.run(action, before_retry=self._reconnect, attempts=attempts)

    def _reconnect(self) -> None:
        filesystems.forget(self._connected.__dict__.pop("fs", None))

    def _info(self, path: str) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            self._fs.invalidate_cache()
            return dict(self._fs.info(self._strip(path)))

        found: dict[str, Any] = self._again(ask)
        return found

    def _type(self, path: str) -> str | None:
        with filesystems.reporting(path):
            try:
                return str(self._info(path)["type"])
            except FileNotFoundError:
                return None

    def _entries(self, directory: str) -> list[tuple[str, bool]]:
        """Return (name, is a directory) for each entry of a directory, without temporary ones."""

        def ask() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._strip(directory), detail=True))

        try:
            with filesystems.reporting(directory):
                infos = self._again(ask)
                own = self._strip(directory)
        except FileNotFoundError:
            return []
        names = [
            (info["name"].rstrip("/").rpartition("/")[2], info["type"] == "directory")
            for info in infos
            if info["name"].strip("/") != own.strip("/")
        ]
        return [(name, is_one) for name, is_one in names if name and not is_temporary(name)]

    def _make(self, directory: str) -> None:
        """Create a directory; in an object store, check that the bucket exists."""
        if self._kind.has_directories:
            self._fs.makedirs(self._strip(directory), exist_ok=True)
            return
        with contextlib.suppress(PermissionError):  # the probe file shows whether it matters
            self._fs.invalidate_cache()
            bucket = self._strip(directory).split("/", 1)[0]
            try:
                self._fs.info(bucket)  # `exists` would report an unreachable server as no bucket
            except FileNotFoundError:
                raise FileNotFoundError(None, f"there is no bucket {bucket!r}") from None

    def _upload(self, local: str, path: str, root: str | None) -> None:
        fs, name = self._fs, self._strip(path)
        if self._kind.publishes_whole:
            fs.put_file(local, name)
        else:
            if root is not None and not fs.exists(self._strip(root)):
                raise FileNotFoundError(None, f"there is no directory {root!r} any more")
            fs.makedirs(self._strip(parent(path)), exist_ok=True)
            temporary = remote_leftovers.temporary_name(name.rpartition("/")[2])
            hidden = f"{name.rpartition('/')[0]}/{temporary}"
            try:
                fs.put_file(local, hidden)
                self._check_size(hidden, local)
                filesystems.rename(fs, hidden, name)
            except BaseException:
                with contextlib.suppress(Exception):
                    fs.rm_file(hidden)
                raise
        self._check_size(name, local)

    def _check_size(self, name: str, local: str) -> None:
        self._fs.invalidate_cache()
        stored, written = self._fs.info(name)["size"], os.path.getsize(local)
        if stored != written:
            raise OSError(None, f"{stored} of {written} bytes arrived")
