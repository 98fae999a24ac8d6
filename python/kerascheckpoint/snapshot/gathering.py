"""Gather arrays that are spread over processes, one at a time."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..backends.arrays import gather, is_spread


class GatheredArrays(Mapping[str, Any]):
    """Arrays by name; a spread array is gathered when it is read.

    Gathering is a collective call, so every process must read all of them, in order. An array is
    kept only until it is read, so a process holds about one whole array at a time.
    """

    def __init__(self, held: Mapping[str, Any]) -> None:
        """Wrap arrays.

        Args:
            held: Held values; spread ones are the backend's own arrays.
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
        """Gather and drop the remaining arrays, for which the other processes are waiting."""
        self._fetched = {}
        while self._waiting:
            self._fetch()
            self._fetched = {}

    def _fetch(self) -> None:
        name = self._waiting.pop()
        self._fetched[name] = gather(self._held[name])
