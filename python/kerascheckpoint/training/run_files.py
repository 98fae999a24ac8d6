"""The durable files of a run, and the deletion of those that are not to be kept."""

import os
from collections.abc import Iterable

from ..notify import warn
from ..policies.monitor import Direction
from ..policies.retention import KeptFile, Retention


class RunFiles:
    """Knows the files that this run (or one it continues) wrote, oldest first."""

    def __init__(self, retention: Retention, files: Iterable[KeptFile] = ()) -> None:
        self._retention = retention
        self._files = list(files)
        self._written = {file.path: _identity(file.path) for file in self._files}
        self._on_their_way: list[str] = []

    def expect(self, path: str) -> None:
        """Note that a save to `path` is on its way; until it is known what came of it, it stays."""
        self._on_their_way.append(path)

    def give_up(self, path: str) -> None:
        """Note that a save to `path` failed."""
        self._on_their_way.remove(path)

    def add(self, file: KeptFile, direction: Direction | None, best_path: str | None) -> None:
        """Take in an expected file that is durable; delete the files that are no longer kept."""
        self._on_their_way.remove(file.path)
        self._files = [earlier for earlier in self._files if earlier.path != file.path]
        self._files.append(file)
        self._written[file.path] = _identity(file.path)
        for to_delete in self._retention.to_delete(self._files, direction, best_path):
            if to_delete.path not in self._on_their_way:
                self._files.remove(to_delete)
                self._delete(to_delete.path)

    def _delete(self, path: str) -> None:
        written = self._written.pop(path)
        try:
            if _identity(path) == written or not os.path.isfile(path):
                os.unlink(path)  # else somebody has put another file there
        except FileNotFoundError:
            pass
        except OSError as error:
            warn(f"an old checkpoint could not be deleted: {error}")


def _identity(path: str) -> tuple[int, int, int] | None:
    """Return what tells a file from any other that takes its place, `None` if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
