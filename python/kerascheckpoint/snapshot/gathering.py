"""Arrays that are spread over processes, brought together one after the other."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..backends.arrays import gather, is_spread


class GatheredArrays(Mapping[str, Any]):
    """Arrays by name; of those that are spread, the whole is fetched when it is asked for.

    That is a collective call: every process has to fetch all of them, in their order. Each is kept
    only until it was asked for, so a process holds about one whole array at a time.
    """

    def __init__(self, held: Mapping[str, Any]) -> None:
        """Take hold of arrays.

        Args:
            held: Held values, with spread ones as the backend's own arrays.
        """
        self._held = held
        self._waiting = [name for name, value in held.items() if is_spread(value)][::-1]
        self._fetched: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        while name in self._waiting:
            self._fetch()
        return self._fetched.pop(name) if name in self._fetched else self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def finish(self) -> None:
        """Fetch what is left, and keep none of it: other processes wait for that."""
        self._fetched = {}
        while self._waiting:
            self._fetch()
            self._fetched = {}

    def _fetch(self) -> None:
        name = self._waiting.pop()
        self._fetched[name] = gather(self._held[name])
