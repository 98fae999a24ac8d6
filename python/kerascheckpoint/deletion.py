"""The durable files of a run, and the deletion of those that are not to be kept."""

import os
from collections.abc import Iterable

from .monitor import Direction
from .notify import warn
from .retention import KeptFile, Retention


class RunFiles:
    """Knows the files that this run (or one it continues) wrote, oldest first."""

    def __init__(self, retention: Retention, files: Iterable[KeptFile] = ()) -> None:
        self._retention = retention
        self._files = list(files)

    def add(self, file: KeptFile, direction: Direction | None, best_path: str | None) -> None:
        """Take in a file that has become durable, and delete what it makes superfluous."""
        self._files = [earlier for earlier in self._files if earlier.path != file.path]
        self._files.append(file)
        for superfluous in self._retention.superfluous(self._files, direction, best_path):
            self._files.remove(superfluous)
            try:
                os.unlink(superfluous.path)
            except FileNotFoundError:
                pass
            except OSError as error:
                warn(f"an old checkpoint could not be deleted: {error}")
