"""The helper process, which reads the structure of HDF5 files and may die over damaged ones.

For each file, it gets `[size, legacy, with_arrays]`, asks for bytes with `[offset, count]`, and
answers with an object. All messages are JSON, except for the bytes.
"""

import contextlib
import functools
import json
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

from ...errors import CheckpointCorruptError
from ...storage.random_access import RandomAccessFile
from .. import record
from ..base import ForeignFileError
from .hdf5_structure import Hdf5Content, examine

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_MEMORY = 600 << 20  # bytes, in addition to those of the started Python
_SECONDS = 60  # of processor time for one file, in case the other process has died
_BLOCK = 1 << 16  # bytes per request
_BLOCKS = 256  # number of blocks that are kept


class AskedFile(RandomAccessFile):
    """A file whose bytes come from the other process."""

    def __init__(self, connection: Connection, size: int) -> None:
        super().__init__(size)

        @functools.lru_cache(_BLOCKS)
        def block(number: int) -> bytes:
            _send(connection, [number * _BLOCK, _BLOCK])
            return connection.recv_bytes()

        self._block = block

    def readinto(self, buffer: Any) -> int:
        """Read from the position."""
        number, begin = divmod(self._position, _BLOCK)
        if self._position >= self.size:
            return 0
        piece = self._block(number)[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def main() -> None:
    """Serve the process at the other end of the socket in `sys.argv` until it is closed."""
    connection = Connection(int(sys.argv[1]))
    _limit_memory()
    _send(connection, [])
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            size, legacy, with_arrays = json.loads(connection.recv_bytes())
            _limit_time()
            file = AskedFile(connection, size)
            _send(connection, _answer(file, size, legacy, with_arrays))


def _answer(file: AskedFile, size: int, legacy: bool, with_arrays: bool) -> dict[str, Any]:
    try:
        found = examine(file, size, legacy=legacy, with_arrays=with_arrays)
        return _as_json(found)
    except (EOFError, ConnectionError):
        raise
    except (CheckpointCorruptError, Exception) as error:
        text = str(error) or type(error).__name__
        return {"error": text, "is_foreign": isinstance(error, ForeignFileError)}


def _as_json(found: Hdf5Content) -> dict[str, Any]:
    arrays = None
    if found.arrays is not None:
        arrays = [[a.name, a.shape, record.dtype_text(a.dtype), a.offset] for a in found.arrays]
    groups = None if found.groups is None else [[g.path, g.name] for g in found.groups]
    return {
        "groups": groups,
        "record": found.record,
        "keras_version": found.keras_version,
        "arrays": arrays,
    }


def _send(connection: Connection, message: Any) -> None:
    connection.send_bytes(json.dumps(message).encode("utf-8", "surrogatepass"))


def _limit_memory() -> None:
    if resource is not None and os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            present = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (present + _MEMORY, present + _MEMORY))


def _limit_time() -> None:
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = int(usage.ru_utime + usage.ru_stime)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (used + _SECONDS, hard))
