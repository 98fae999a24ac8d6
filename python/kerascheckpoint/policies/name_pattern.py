"""Which names fit a pattern of literal text, whole numbers and anything else.

All ways through a name are followed at once, so the time is bounded by the product of both lengths,
where a regular expression with several gaps can take exponentially long over a long name.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

_SEPARATORS = "/\\"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a pattern: a literal text, an optional one, a whole number, or a gap.

    A number may have blanks before it. A gap is one character or more, but no separator of a path.
    """

    kind: Literal["literal", "optional", "number", "gap"]
    text: str = ""


def fits(parts: tuple[Part, ...], name: str) -> bool:
    """Tell whether a name consists of these parts, in their order."""
    places = {0}
    for part in parts:
        places = _after(part, name, places)
        if not places:
            return False
    return len(name) in places


def _after(part: Part, name: str, places: set[int]) -> set[int]:
    """Return where a part can end that begins at one of some places."""
    if part.kind in ("literal", "optional"):
        found = {at + len(part.text) for at in places if name.startswith(part.text, at)}
        return found | places if part.kind == "optional" else found
    if part.kind == "gap":
        return _run(name, places, lambda character: character not in _SEPARATORS)
    blanks = places | _run(name, places, lambda character: character == " ")
    return _run(name, blanks, str.isdecimal)


def _run(name: str, places: set[int], accepts: Callable[[str], bool]) -> set[int]:
    """Return where one or more accepted characters can end that begin at one of some places."""
    found, inside = set(), False
    for index, character in enumerate(name):
        inside = (inside or index in places) and accepts(character)
        if inside:
            found.add(index + 1)
    return found
