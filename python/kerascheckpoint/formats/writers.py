"""The processes that write one checkpoint together: how they exchange values."""

import dataclasses
from typing import Any, Protocol

# The phases of a save by several processes.
BEGIN, PARTS, END = "begin", "parts", "end"


class Writers(Protocol):
    """The processes that write one checkpoint together, and how they exchange values.

    Every process makes the same calls, on any thread. Each call has a phase, a name used once.

    Attributes:
        index: Number of this process; the first one, 0, publishes the checkpoint.
        count: Number of processes.
    """

    @property
    def index(self) -> int: ...
    @property
    def count(self) -> int: ...

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Send a JSON value to the first process, where this returns the values of all processes.

        Raises:
            CheckpointWriteError: If a process does not answer in time.
        """

    def broadcast(self, phase: str, value: Any = None) -> Any:
        """Return, in every process, the JSON value that the first process passes.

        Raises:
            CheckpointWriteError: If the first process does not answer in time.
        """


@dataclasses.dataclass(frozen=True)
class OneWriter:
    """A process that writes alone; see `Writers`."""

    index: int = 0
    count: int = 1

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Return the only value."""
        return [value]

    def broadcast(self, phase: str, value: Any = None) -> Any:
        """Return the value."""
        return value


ALONE = OneWriter()


def give_up(writers: Writers, error: BaseException) -> None:
    """Tell the other processes that this one cannot begin its part of a save."""
    report = {"error": str(error) or type(error).__name__}
    if writers.index == 0:
        writers.broadcast(BEGIN, report)
    else:
        writers.collect(PARTS, report)
