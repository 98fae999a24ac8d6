"""Messages between the processes that write one checkpoint, from whatever thread writes it.

JAX' coordination service carries them, not its devices: a collective call on these would have to be
made by the main thread, in its turn between the steps of the training.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from ..errors import CheckpointWriteError

_PATIENCE = 30 * 60  # seconds for which a part may be waited for
_LENGTH = 1 << 20  # characters of one message; the service takes 4 MB

_numbers: Iterator[int] = itertools.count()  # all processes start conversations in one order


class Conversation:
    """What the processes of one training say to each other about the saves of one callback."""

    def __init__(self, index: int, count: int, client: Any) -> None:
        """Start it: in every process, in the same order, on the main thread.

        Args:
            index: The number of this process.
            count: How many there are.
            client: The client of JAX' coordination service.
        """
        self._index, self._count, self._client = index, count, client
        self._prefix = f"kerascheckpoint/{next(_numbers)}"
        self._saves = 0

    def next_save(self) -> "SaveMessages":
        """Return the messages about the next save: in every process, in the same order."""
        self._saves += 1
        places = [f"{self._prefix}/{number}" for number in (self._saves, self._saves - 1)]
        return SaveMessages(self._index, self._count, self._client, *places)


class SaveMessages:
    """The messages about one save: see `formats.writers.Writers`."""

    def __init__(self, index: int, count: int, client: Any, place: str, earlier: str) -> None:
        self.index, self.count = index, count
        self._client, self._place, self._earlier = client, place, earlier

    def collect(self, phase: str, value: Any) -> list[Any]:
        """Send a value to the first process, which gets the list of all."""
        if self.index:
            self._put(f"{phase}/{self.index}", value)
            return []
        others = [self._get(f"{phase}/{index}", index) for index in range(1, self.count)]
        self._client.key_value_delete(self._earlier)  # nobody reads what was said before
        return [value, *others]

    def hear_first(self, phase: str, value: Any = None) -> Any:
        """Return the value that the first process gives, in every process."""
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
            return str(self._client.blocking_key_value_get(place, _PATIENCE * 1000))
        except Exception as error:
            raise CheckpointWriteError(
                f"process {sender} of this training does not answer, so this save is given up: "
                f"{error}"
            ) from error
