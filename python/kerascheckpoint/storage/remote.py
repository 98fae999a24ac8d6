"""Object stores and remote file systems, through fsspec.

A checkpoint is written to a local file, then uploaded. In object stores it appears when the upload
is complete; elsewhere it is uploaded under a temporary name and renamed.
"""

import contextlib
import copy
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from ..errors import CheckpointNotFoundError, CheckpointWriteError
from ..file_kind import DIRECTORY_SUFFIXES
from ..location import parent
from . import filesystems, remote_leftovers
from .base import FileStatus, write_error
from .connections import Connections
from .downloaded_file import DownloadedFile
from .leftovers import is_temporary
from .remote_file import RemoteFile
from .remote_staging import KeptFile, RemoteStagedFile, staging_directory
from .upload import upload

_READERS = 16  # files read at the same time, as each takes a few round trips
_CONNECTIONS = 4  # the same, if each thread needs its own connection
_FETCHERS = 4  # blocks of one file fetched at the same time
_FRESH = 10.0  # seconds for which what a listing said of a file is not asked for again


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
        self.options = dict(options or {})
        options = dict(self.options)
        self._staging = staging_directory(options.pop("staging_directory", None))
        self._connections = Connections(url, options)
        self._kind = self._connections.kind
        self._is_fetching = False
        self._kept = KeptFile()
        self._listed: dict[str, tuple[float, FileStatus]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_listed": {}, "_kept": KeptFile()}

    @property
    def concurrency(self) -> int:
        """Number of files to read at the same time."""
        return _READERS if self._kind.is_shared else _CONNECTIONS

    @property
    def _fs(self) -> Any:
        return self._connections.fs

    def resolve(self, path: str) -> str:
        """Return the URL without trailing slashes."""
        return path.rstrip("/")

    def open(self, path: str) -> BinaryIO:
        """Open a file; only the parts that are read are fetched.

        A file that `paths` has just found is not asked for again. If it was replaced since then,
        what is read may be damaged; a second `open` asks.
        """
        time_listed, listed = self._listed.pop(path, (0.0, None))
        is_fresh = listed is not None and time.monotonic() - time_listed < _FRESH
        status = listed if listed is not None and is_fresh else self.status(path)
        name = self._strip(path)

        def fetch(start: int, stop: int) -> bytes:
            with filesystems.reporting(path):
                return bytes(
                    self._again(lambda: filesystems.read_range(self._fs, name, start, stop))
                )

        if self._is_fetching and self._has_room_for(status.size):
            local = RemoteStagedFile(self._staging).__enter__()
            threads = _FETCHERS if self._kind.is_shared else 1
            downloaded = DownloadedFile(fetch, status.size, status.modified, local, threads)
            return cast(BinaryIO, downloaded)
        return cast(BinaryIO, RemoteFile(fetch, status.size, status.modified))

    def fetching(self) -> "RemoteStorage":
        """Return the same place, whose files are fetched once, in the staging directory."""
        other = copy.copy(self)
        other._is_fetching = True
        return other

    def _has_room_for(self, size: int) -> bool:
        try:
            return shutil.disk_usage(self._staging or tempfile.gettempdir()).free > size
        except OSError:
            return False

    def status(self, path: str) -> FileStatus:
        """Return size, time and identity."""
        with filesystems.reporting(path):
            info = self._info(path)
        if info["type"] != "directory":
            return filesystems.status_of(info)
        files = self.files_below(path) if path.endswith(DIRECTORY_SUFFIXES) else {}
        if not files:
            raise CheckpointNotFoundError(f"there is no checkpoint at {filesystems.shown(path)!r}")
        size = sum(file.size for file in files.values())
        modified = max(file.modified for file in files.values())
        return FileStatus(size, modified, tuple(file.identity for file in files.values()))

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
        for name, info in self._entries(directory):
            path = f"{directory}/{name}"
            if info["type"] != "directory":
                self._listed[path] = time.monotonic(), filesystems.status_of(info)
                found.append(path)
            elif name.endswith(DIRECTORY_SUFFIXES):
                found.append(path)
            elif levels > 1:
                found += self.paths(path, levels - 1)
        return sorted(found)

    def files_below(self, directory: str) -> dict[str, FileStatus]:
        """Return all files below a directory; see `base.Storage.files_below`."""

        def ask() -> dict[str, Any]:
            self._fs.invalidate_cache()
            return dict(self._fs.find(self._strip(directory), detail=True))

        with filesystems.reporting(directory):
            try:
                infos = self._again(ask)
            except FileNotFoundError:
                return {}
            start = len(self._strip(directory)) + 1
        found = {name[start:]: filesystems.status_of(info) for name, info in infos.items()}
        return {name: status for name, status in found.items() if name}

    def prepare(self, directory: str, levels: int = 1, only_path: str | None = None) -> None:
        """Check that files can be written there by writing and deleting an empty one."""
        probe = remote_leftovers.temporary_name("probe")
        try:
            with RemoteStagedFile(self._staging):
                pass  # the local directory takes files
            with filesystems.reporting(directory):
                self._again(lambda: self._make(directory), attempts=1)
                name = f"{self._strip(directory)}/{probe}"
                self._again(lambda: self._fs.pipe_file(name, b""), attempts=2)
                self._fs.rm_file(name)
                may_be_directory = only_path is None or only_path.endswith(DIRECTORY_SUFFIXES)
                if not may_be_directory and self._type(only_path or "") == "directory":
                    raise IsADirectoryError(None, "Is an existing directory")
        except OSError as error:
            raise write_error(filesystems.shown(only_path or directory), error) from error
        remote_leftovers.remove(self._fs, self._strip(directory), levels)

    @contextlib.contextmanager
    def atomic_write(
        self, path: str, root: str | None = None, *, overwrites: bool = False
    ) -> Iterator[RemoteStagedFile]:
        """Write a local file, then upload it; the earlier file stays until the upload is done."""
        try:
            kept = self._kept if overwrites else None
            with RemoteStagedFile(self._staging, kept) as staged:
                with staged.reporting():
                    yield staged
                    staged.flush()
                with filesystems.reporting(path):
                    self._again(lambda: self._upload(staged.path, path, root))
        except CheckpointWriteError:
            raise
        except OSError as error:
            raise write_error(filesystems.shown(path), error) from error

    def release(self) -> None:
        """Close the local file that is kept for the next upload."""
        self._kept.close()

    def delete(self, path: str) -> None:
        """Delete a checkpoint; do nothing if it is gone already."""
        name = self._strip(path)
        with contextlib.suppress(FileNotFoundError), filesystems.reporting(path):
            if self._type(path) == "directory":
                self._again(lambda: filesystems.remove_tree(self._fs, name))
            else:
                self._again(lambda: self._fs.rm_file(name))

    def _strip(self, path: str) -> str:
        return filesystems.name_of(self._fs, path)

    def _again(self, action: Any, attempts: int | None = None) -> Any:
        return self._connections.run(action, attempts)

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

    def _entries(self, directory: str) -> list[tuple[str, dict[str, Any]]]:
        """Return name and fsspec's info for each entry of a directory, without temporary ones."""

        def ask() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            return list(self._fs.ls(self._strip(directory), detail=True))

        try:
            with filesystems.reporting(directory):
                infos = self._again(ask)
                own = self._strip(directory)
        except FileNotFoundError:
            return []
        named = [
            (info["name"].rstrip("/").rpartition("/")[2], info)
            for info in infos
            if info["name"].strip("/") != own.strip("/")
        ]
        return [(name, info) for name, info in named if name and not is_temporary(name)]

    def _make(self, directory: str) -> None:
        """Create a directory; in an object store, check that the bucket exists."""
        if self._kind.has_directories:
            self._fs.makedirs(self._strip(directory), exist_ok=True)
            if self._info(directory)["type"] != "directory":
                raise NotADirectoryError(None, "it is a file, not a directory")
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
            upload(fs, local, name)
        else:
            if root is not None and not fs.exists(self._strip(root)):
                raise FileNotFoundError(None, f"there is no directory {root!r} any more")
            fs.makedirs(self._strip(parent(path)), exist_ok=True)
            temporary = remote_leftovers.temporary_name(name.rpartition("/")[2])
            hidden = f"{name.rpartition('/')[0]}/{temporary}"
            try:
                upload(fs, local, hidden)
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
