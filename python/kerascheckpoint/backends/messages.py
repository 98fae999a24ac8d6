"""Messages between the processes that write one checkpoint, sent from any thread.

They go through JAX's coordination service. Collective calls on devices would not do: only the main
thread can make those, in order with the training steps.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from ..errors import CheckpointWriteError

_TIMEOUT = 30 * 60  # seconds to wait for another process
_LENGTH = 1 << 20  # characters per message; the service accepts 4 MB

_numbers: Iterator[int] = itertools.count()  # every process starts conversations in the same order


class Conversation:
    """The messages between the processes of one training about the saves of one callback."""

    def __init__(self, index: int, count: int, client: Any) -> None:
        """Start a conversation; every process must do so in the same order, on the main thread.

        Args:
            index: Number of this process, from 0.
            count: Number of processes.
            client: Client of JAX's coordination service.
        """
        self._index, self._count, self._client = index, count, client
        self._prefix = f"kerascheckpoint/{next(_numbers)}"
        self._saves = 0

    def next_save(self) -> "SaveMessages":
        """Return the messages about the next save; every process calls this in the same order."""
        self._saves += 1
        places = [f"{self._prefix}/{number}" for number in (self._saves, self._saves - 1)]
        return SaveMessages(self._index, self._count, self._client, *places)


class SaveMessages:
    """The messages about one save: see `formats.writers.Writers`."""

    def __init__(self, index: int, count: int, client: Any, place: str, earlier: str) -> None:
        self.index, self.count = index, count
        self._client, self._place, self._earlier = client, place, earlier

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Send a value to the first process, where this returns the values of all processes."""
        if self.index:
            self._put(f"{phase}/{self.index}", value)
            return []
        others = [self._get(f"{phase}/{index}", index) for index in range(1, self.count)]
        self._client.key_value_delete(self._earlier)  # everybody has read the last save's
        return [value, *others]

    def broadcast(self, phase: str, value: Any = None) -> Any:
        """Return, in every process, the value that the first process passes."""
        if self.index:
            return self._get(phase, 0)
        self._put(phase, value)
        return value

    def _put(self, name: str, value: Any) -> None:
        text = json.dumps(value)
        pieces = [text[start : start + _LENGTH] for start in range(0, len(text), _LENGTH)]
        for number, piece in enumerate(pieces[1:], 1):
            self._client.key_value_set(f"{self._place}/{name}/{number}", piece)
        self._client.key_value_set(f"{self._place}/{name}/0", f"{len(pieces)} {pieces[0]}")

    def _get(self, name: str, sender: int) -> Any:
        count, _, text = self._wait_for(f"{name}/0", sender).partition(" ")
        for number in range(1, int(count)):
            text += self._wait_for(f"{name}/{number}", sender)
        return json.loads(text)

    def _wait_for(self, name: str, sender: int) -> str:
        place = f"{self._place}/{name}"
        try:
            return str(self._client.blocking_key_value_get(place, _TIMEOUT * 1000))
        except Exception as error:
            raise CheckpointWriteError(
                f"process {sender} of this training does not answer, so this save was abandoned: "
                f"{error}"
            ) from error
