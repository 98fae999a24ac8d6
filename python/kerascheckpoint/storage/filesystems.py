"""fsspec's file systems: find the one for a URL, connect, and interpret its answers."""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ..errors import CheckpointError, CheckpointNotFoundError, CheckpointUnreachableError
from ..file_kind import COMMIT_MARK
from .base import FileStatus, reason_of

# In object stores, an object appears when its upload is complete, and there are no directories.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "r2", "tos", "hf"}
_EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "sftp": ("paramiko", "sftp"),
    "ssh": ("paramiko", "sftp"),
    "hf": ("huggingface_hub", None),
}
_CUTTING = {"?": "\ue03f", "#": "\ue023"}  # replaced by private-use characters
_SILENCE = 60.0  # seconds without an answer of an sftp server until its connection counts as broken
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")
_IDENTITIES = ("ETag", "etag", "generation", "md5Hash", "content_settings", "ino", *_TIMES)


@dataclasses.dataclass(frozen=True)
class Kind:
    """Properties of a file system.

    Attributes:
        publishes_whole: Whether an uploaded file appears as a whole.
        has_directories: Whether directories have to be created.
        is_shared: Whether several threads may use one object at the same time.
    """

    publishes_whole: bool
    has_directories: bool
    is_shared: bool


def protocol_of(url: str) -> str:
    """Return the protocol of a URL, or the last one of a chain such as `simplecache::s3://`."""
    return url.partition("://")[0].rpartition("::")[2].lower()


def kind_of(url: str) -> Kind:
    """Return the properties of the file system for a URL, without connecting.

    Raises:
        ImportError: If a package is missing; the message names it.
        ValueError: If fsspec does not know the protocol.
    """
    protocol = protocol_of(url)
    package, extra = _EXTRAS.get(protocol, ("", "remote"))
    try:
        import fsspec

        is_shared = bool(fsspec.get_filesystem_class(protocol).async_impl)
    except ImportError as error:
        wanted = "fsspec" if getattr(error, "name", None) == "fsspec" else package
        ways = [f"pip install {wanted}"] if wanted else []
        ways += [f"pip install 'kerascheckpoint[{extra}]'"] if extra else []
        raise ImportError(
            f"{shown(url)!r} needs a package that is not installed ({error}): {' or '.join(ways)}"
        ) from error
    is_object_store = protocol in _OBJECT_STORES
    return Kind(is_object_store, not is_object_store, is_shared)


def connect(url: str, options: Mapping[str, Any], kind: Kind) -> Any:
    """Return fsspec's file system for a URL: a new one, unless it can be shared."""
    import fsspec

    more = {} if kind.is_shared else {"skip_instance_cache": True}
    fs = fsspec.core.url_to_fs(_uncut(url), **options, **more)[0]
    if (channel := getattr(getattr(fs, "ftp", None), "get_channel", None)) is not None:
        channel().settimeout(_SILENCE)  # paramiko would wait without a limit
    return fs


def name_of(fs: Any, url: str) -> str:
    """Return fsspec's name for a URL."""
    name = str(fs._strip_protocol(_uncut(url))).rstrip("/")
    for character, stand_in in _CUTTING.items():
        name = name.replace(stand_in, character)
    return name


def _uncut(url: str) -> str:
    """Replace `?` and `#`, which may be part of a name here: some file systems cut URLs there."""
    for character, stand_in in _CUTTING.items():
        url = url.replace(character, stand_in)
    return url


def forget(fs: Any) -> None:
    """Make `connect` never return this file system again; its connection may be broken."""
    if fs is not None:
        type(fs).clear_instance_cache()


def read_range(fs: Any, name: str, start: int, stop: int) -> bytes:
    """Return the bytes of a file from `start` up to, but not including, `stop`."""
    if not hasattr(getattr(fs, "ftp", None), "get_channel"):
        return bytes(fs.cat_file(name, start=start, end=stop))
    with fs.open(name, "rb") as file:  # sftp: send all requests at once, not one after the other
        file.seek(start)
        file.prefetch(stop)
        return bytes(file.read(stop - start))


def rename(fs: Any, old: str, new: str) -> None:
    """Rename a file; replace an existing one."""
    from fsspec.spec import AbstractFileSystem

    if type(fs).mv is not AbstractFileSystem.mv:
        fs.mv(old, new)
    else:  # fsspec's default would treat names as patterns
        fs.cp_file(old, new)
        fs.rm_file(old)


def remove_tree(fs: Any, name: str) -> None:
    """Remove a directory and its content; of a checkpoint first the marks that it is finished.

    Some S3 servers keep real directories. They stay until the object with the directory's name and
    a slash is deleted.
    """
    marks = [path for path in fs.find(name) if path.endswith(f"/{COMMIT_MARK}")]
    for mark in sorted(marks, key=lambda path: path.count("/")):
        fs.rm_file(mark)
    folders = [path for path, _, _ in fs.walk(name)] if hasattr(fs, "call_s3") else []
    fs.rm(name, recursive=True)
    for folder in sorted(folders, key=len, reverse=True):
        bucket, _, key = folder.strip("/").partition("/")
        fs.call_s3("delete_object", Bucket=bucket, Key=f"{key}/")


def status_of(info: Mapping[str, Any]) -> FileStatus:
    """Return the status of a file from fsspec's `info`."""
    time = next((info[name] for name in _TIMES if info.get(name) is not None), 0.0)
    if isinstance(time, str):
        time = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if isinstance(time, datetime):
        time = time.timestamp()
    identity = tuple(str(info[name]) for name in _IDENTITIES if info.get(name) is not None)
    size = int(info.get("size") or 0)
    return FileStatus(size, float(time), (*identity, size))


@contextlib.contextmanager
def reporting(url: str) -> Iterator[None]:
    """Turn every exception of a file system into an error that names the URL and the reason."""
    try:
        yield
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        is_own = error.errno is None and error.strerror
        text = error.strerror if is_own else f"there is no checkpoint at {shown(url)!r}"
        raise CheckpointNotFoundError(text) from error
    except Exception as error:
        reason = reason_of(error)
        reason = f"no permission: {reason}" if isinstance(error, PermissionError) else reason
        unreachable = CheckpointUnreachableError(f"{reason} ({shown(url)})")
        unreachable.errno = getattr(error, "errno", None)
        raise unreachable from error


def shown(url: str) -> str:
    """Return a URL without a password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", url)
