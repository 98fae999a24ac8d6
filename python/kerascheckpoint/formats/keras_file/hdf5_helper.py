"""Read the structure of HDF5 files in a helper process, with limits on time and memory.

On a file with a flipped bit in its structure, the HDF5 library may crash or never return, and it
would take the training down with it. If the helper dies over a file, that file is damaged, and the
next one gets a new helper. The helper reads through this process, so it sees exactly the file that
is open here, local or remote.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from ...errors import CheckpointCorruptError
from ...model_state import ObjectGroup
from .. import record
from ..base import ForeignFileError
from .file_slice import FileSlice
from .hdf5_structure import Hdf5Content, StoredArray

_START_LIMIT = 60.0  # seconds for Python and h5py to start
_FIRST_LIMIT = 6.0  # seconds for one file; each file that kills the helper halves it
_LAST_LIMIT = 0.5
_ANSWER_LIMIT = 1 << 28  # bytes
_READ_LIMIT = 1 << 24  # bytes of one request

_MAIN = "from kerascheckpoint.formats.keras_file import hdf5_helper_main as m; m.main()"

_lock = threading.RLock()
_users = 0
_helper: "Helper | None" = None


@contextlib.contextmanager
def shared() -> Iterator["Helper"]:
    """Yield the shared helper; it starts when first needed and ends with its last user."""
    global _users, _helper
    with _lock:
        _users += 1
        helper = _helper = _helper or Helper()
    try:
        yield helper
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _helper = None
                helper.close()


class Helper:
    """The helper process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._limit = _FIRST_LIMIT

    def examine(self, weights: FileSlice, *, legacy: bool, with_arrays: bool) -> Hdf5Content:
        """Return what HDF5 finds in a file; see `hdf5_structure.examine`.

        Raises:
            CheckpointCorruptError: If HDF5 fails, crashes, hangs or takes too much memory.
        """
        with self._lock:
            connection = self._started()
            try:
                connection.send_bytes(record.dumps([weights.size, legacy, with_arrays]).encode())
                answer = self._serve(connection, weights)
            except TimeoutError:
                self._give_up()
                raise CheckpointCorruptError("HDF5 hangs on it") from None
            except (EOFError, ConnectionError):
                self._give_up()
                raise CheckpointCorruptError("HDF5 crashes on it") from None
            except BaseException:
                self.close()
                raise
        return _content(answer)

    def _serve(self, connection: Connection, weights: FileSlice) -> dict[str, object]:
        """Read for the helper until it answers; only the helper's own time counts."""
        left = self._limit
        while True:
            begin = time.monotonic()
            if not connection.poll(max(left, 0)):
                raise TimeoutError
            left -= time.monotonic() - begin
            message = record.parsed(connection.recv_bytes(_ANSWER_LIMIT))
            if isinstance(message, dict):
                return message
            offset, count = message
            connection.send_bytes(weights.read_at(offset, min(count, _READ_LIMIT)))

    def _started(self) -> Connection:
        if self._connection is None:
            ours, theirs = socket.socketpair()
            with theirs:
                environment = os.environ | {
                    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
                    "OPENBLAS_NUM_THREADS": "1",
                }
                self._process = subprocess.Popen(
                    [_python(), "-c", _MAIN, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    cwd=os.path.dirname(os.path.abspath(__file__)),
                    env=environment,
                    start_new_session=True,  # Ctrl-C must not reach it
                )
            self._connection = Connection(ours.detach())
            try:
                if not self._connection.poll(_START_LIMIT):
                    raise EOFError
                self._connection.recv_bytes()
            except (EOFError, ConnectionError):
                self.close()
                raise OSError("the helper process that reads HDF5 files does not start") from None
        return self._connection

    def _give_up(self) -> None:
        self.close()
        self._limit = max(self._limit / 2, _LAST_LIMIT)

    def close(self) -> None:
        """End the process."""
        connection, self._connection = self._connection, None
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if connection is not None:
            connection.close()


def _python() -> str:
    """Return the Python program, even if another program such as R embeds this Python."""
    candidates = [
        sys.executable,
        getattr(sys, "_base_executable", None),
        os.path.join(sys.exec_prefix, "bin", "python3"),
        os.path.join(sys.exec_prefix, "bin", "python"),
        shutil.which("python3"),
    ]
    for path in candidates:
        if path and "python" in os.path.basename(path).lower() and os.access(path, os.X_OK):
            return path
    raise OSError("no Python program was found to read HDF5 files in a process of its own")


def _content(answer: dict[str, object]) -> Hdf5Content:
    if "error" in answer:
        kind = ForeignFileError if answer["is_foreign"] else CheckpointCorruptError
        raise kind(str(answer["error"]))
    arrays = None
    if isinstance(answer["arrays"], list):
        arrays = [
            StoredArray(str(name), tuple(shape), record.dtype_of(dtype), offset)
            for name, shape, dtype, offset in answer["arrays"]
        ]
    groups = None
    if isinstance(answer["groups"], list):
        groups = [ObjectGroup(str(path), name) for path, name in answer["groups"]]
    text, version = answer["record"], answer["keras_version"]
    assert text is None or isinstance(text, str)
    assert version is None or isinstance(version, str)
    return Hdf5Content(text, version, arrays, groups)
