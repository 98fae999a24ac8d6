"""Open the checkpoint that the first process has found, in all processes of a training."""

import dataclasses
import io
import tempfile
from typing import BinaryIO, cast

from ..backends.processes import Processes
from ..formats.forms import form_of
from ..storage.base import Storage
from ..storage.local import LocalStorage
from .resume_point import ResumePoint
from .role import all_or_none


def open_together(
    found: ResumePoint | None, path: str, saved_at: str, storage: Storage, group: Processes
) -> ResumePoint:
    """Return the checkpoint, opened in every process (a collective call).

    The first process sends a file to those that do not see it, because they use another disk or see
    an older state of it.

    Args:
        found: The checkpoint as the first process has opened it; `None` in the others.
        path: Its path.
        saved_at: Time of its save, as its record has it.
        storage: Its place.
        group: The processes.

    Raises:
        CheckpointError: If one of them cannot open it.
    """
    point, problem = found, None
    if point is None:
        try:
            point = ResumePoint.at(path, saved_at, storage)
        except Exception as error:
            problem = error

    def opened() -> ResumePoint:
        if point is None:
            raise problem or FileNotFoundError(path)
        return point

    if form_of(path).processes == "all" or not any(group.gather(point is None)):
        return all_or_none(group, opened)
    if point is None:
        received = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        group.send(lambda: storage.open(path), received)
        return all_or_none(group, lambda: ResumePoint.at(path, saved_at, _Received(file=received)))
    group.send(lambda: storage.open(path), None)
    return all_or_none(group, opened)


@dataclasses.dataclass(frozen=True)
class _Received(LocalStorage):
    """A place with one file, whatever path it is opened by."""

    file: BinaryIO = dataclasses.field(default_factory=io.BytesIO)

    def fetching(self) -> "_Received":
        """Return this place."""
        return self

    def open(self, path: str) -> BinaryIO:
        """Return the file."""
        return self.file
