"""A decided save, and the calls by which rules follow it."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedSave:
    """A save that was decided and is now carried out.

    Attributes:
        path: The target.
        value: The monitored value, `None` if there is none.
        is_best: Whether the model is the best so far; `None` if unknown.
        saved_at: The time in the record of the file.
    """

    path: str
    value: float | None = None
    is_best: bool | None = None
    saved_at: str | None = None


class Participant(Protocol):
    """Anything that changes with a save: it is called at the start and at the end of each."""

    def begin(self, save: PlannedSave) -> None:
        """Note that a save has begun."""

    def commit(self, save: PlannedSave) -> None:
        """Note that the file is durable."""

    def abort(self, save: PlannedSave) -> None:
        """Note that the file could not be written."""
