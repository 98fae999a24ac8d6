"""Remove what killed uploads left behind.

Locks do not reach other machines. Instead, a temporary name holds the machine and the process that
made it: a later run on the same machine can tell that this process has died. Files of other
machines are removed when they are a day old.
"""

import contextlib
import hashlib
import os
import re
import secrets
import socket
import time
from datetime import datetime, timezone
from typing import Any

from ..file_kind import COMMIT_MARK, SUFFIXES
from .filesystems import status_of
from .leftovers import MARK

OLD = 24 * 3600.0  # seconds

_CLAIMED = re.compile(r"[^/]+\.orbax/\d+")
_OWNER = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]+" + re.escape(MARK))


def temporary_name(name: str) -> str:
    """Return a new temporary name for a target called `name`."""
    return f".{name[:40]}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{MARK}"


def claim_name() -> str:
    """Return a new temporary name for a file that claims a directory which is being filled.

    The file lies beside the checkpoint and holds the path of the directory, as in `1.orbax/20`. If
    its writer has died, `remove` removes the directory, unless that is marked as finished.
    """
    return temporary_name("claim")


def remove(fs: Any, directory: str, levels: int) -> None:
    """Remove what dead writers left in a directory; ignore failures."""
    with contextlib.suppress(Exception):  # leftovers only take up space
        fs.invalidate_cache()
        for info in fs.ls(directory, detail=True):
            name = info["name"].rstrip("/").rpartition("/")[2]
            if info["type"] == "directory" and levels > 1:
                remove(fs, info["name"].rstrip("/"), levels - 1)
            elif (owner := _OWNER.search(name)) and _is_leftover(owner, info):
                if name.startswith(".claim."):
                    _remove_claimed(fs, directory, info["name"])
                fs.rm_file(info["name"])
    if hasattr(fs, "list_multipart_uploads"):
        with contextlib.suppress(Exception):
            _abort_uploads(fs, directory)


def _remove_claimed(fs: Any, directory: str, claim: str) -> None:
    claimed = fs.cat_file(claim).decode()
    target = f"{directory}/{claimed}"
    if _CLAIMED.fullmatch(claimed) and not fs.exists(f"{target}/{COMMIT_MARK}"):
        with contextlib.suppress(FileNotFoundError):
            fs.rm(target, recursive=True)


def _abort_uploads(fs: Any, directory: str) -> None:
    """Abort uploads to an S3 directory that began more than a day ago, because they cost money."""
    bucket, _, prefix = directory.partition("/")
    for upload in fs.list_multipart_uploads(bucket):
        age = (datetime.now(timezone.utc) - upload["Initiated"]).total_seconds()
        key = upload["Key"].lstrip("/")
        if key.startswith(f"{prefix}/") and key.endswith(SUFFIXES) and age > OLD:
            fs.call_s3(
                "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"]
            )


def _is_leftover(owner: "re.Match[str]", info: dict[str, Any]) -> bool:
    if owner[1] == _machine():
        return not _is_alive(int(owner[2]))
    return time.time() - status_of(info).modified > OLD


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
