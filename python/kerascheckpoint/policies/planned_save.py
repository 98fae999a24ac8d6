"""What every rule learns of a save: its plan, and what came of it."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedSave:
    """A save that was decided.

    Attributes:
        path: Where the file goes.
        value: The monitored value, `None` if there is none.
        is_best: Whether the model is the best so far; `None` if that cannot be known.
        saved_at: The time that the file's record will say.
    """

    path: str
    value: float | None = None
    is_best: bool | None = None
    saved_at: str | None = None


class Participant(Protocol):
    """Whatever changes with a save: it hears of each one twice, at its start and at its end."""

    def begin(self, save: PlannedSave) -> None:
        """The save is decided; its file is on its way."""

    def commit(self, save: PlannedSave) -> None:
        """The file is durable."""

    def abort(self, save: PlannedSave) -> None:
        """The file could not be written."""
