"""How Orbax reaches a directory: the URLs that it serves, and its clients for an object store.

It writes texts through etils and arrays through TensorStore. Each of them finds server and
credentials by itself, from the environment.
"""

import contextlib
import glob
import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from typing import Any

from ... import location
from ...errors import CheckpointUnreachableError
from ...storage import filesystems, remote_leftovers
from ...storage.base import write_error

SERVED = "Orbax reads and writes local paths and gs:// URLs, and no others"
_FIRST_ANSWER = 60.0  # seconds
_RETRIES = {"max_retries": 7, "initial_delay": "1s", "max_delay": "32s"}  # about two minutes


def is_served(url: str) -> bool:
    """Tell whether Orbax can read and write at a URL."""
    return url.startswith("gs://")


def kvstore(directory: str) -> dict[str, Any]:
    """Return TensorStore's description of a directory.

    A URL would not do: of a local path, TensorStore cuts it at `#` and decodes `%`.

    Raises:
        CheckpointUnreachableError: If it is a URL that Orbax does not serve.
    """
    if not location.is_url(directory):
        return {"driver": "file", "path": f"{directory}/"}
    if not is_served(directory):
        raise CheckpointUnreachableError(
            f"{SERVED}; copy the checkpoint of {directory!r} to a disk to read its arrays"
        )
    bucket, _, name = directory.partition("://")[2].partition("/")
    return limited({"driver": "gcs", "bucket": bucket, "path": f"{name}/"})


def limited(store: dict[str, Any]) -> dict[str, Any]:
    """Return TensorStore's description of a place with a limit for tries after an error."""
    return store | {"gcs_request_retries": _RETRIES} if store["driver"] == "gcs" else store


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Turn TensorStore's errors into `OSError`s, as those of a disk or a server are elsewhere.

    TensorStore raises `ValueError`s. Their text has the number of the system's error, if there is
    one, and then its description of the array.
    """
    try:
        yield
    except ValueError as error:
        text = str(error)
        if (found := re.search(r"os_error_code='(\d+)'|OS error (\d+)", text)) is None:
            raise OSError(None, text.partition(" [")[0]) from error
        number = int(found[1] or found[2])
        raise OSError(number, os.strerror(number)) from error


@contextlib.contextmanager
def without_pattern(path: Any) -> Iterator[Any]:
    """Yield a path that leads to the same directory and is no pattern, such as `run[1]`.

    Orbax looks for the parts of a checkpoint by a pattern that begins with the path.
    """
    name = os.fspath(path)
    if location.is_url(name) or glob.escape(name) == name:
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        link = os.path.join(directory, "item")
        os.symlink(name, link)
        yield type(path)(link)


def try_out(directory: str) -> None:
    """Write a file to an object store with one client, and read and delete it with the other.

    Raises:
        CheckpointWriteError: If one of them fails, or they reach different stores.
    """
    name = remote_leftovers.temporary_name("probe")
    try:
        with filesystems.reporting(directory):
            importlib.import_module("etils.epath").Path(directory, name).write_text(name)
            tensorstore = importlib.import_module("tensorstore")
            store = tensorstore.KvStore.open(kvstore(directory)).result(timeout=_FIRST_ANSWER)
            found = store.read(name).result(timeout=_FIRST_ANSWER).value
            store.write(name, None).result(timeout=_FIRST_ANSWER)  # this deletes it
            if found != name.encode():
                raise OSError(None, "TensorStore does not find what Orbax' other client wrote")
    except OSError as error:
        if isinstance(error.__cause__, TimeoutError):
            error = OSError(None, f"no answer within {_FIRST_ANSWER:g} seconds")
        raise write_error(directory, error) from error
