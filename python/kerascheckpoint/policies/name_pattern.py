"""Match names against patterns of literal text, whole numbers and gaps.

All possible matches are followed at once, so the time is bounded by the product of both lengths. A
regular expression with several gaps can take exponentially long on a long name.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

_SEPARATORS = "/\\"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a pattern: a literal text, an optional text, a whole number, or a gap.

    A number may follow blanks. A gap is one character or more, without path separators.
    """

    kind: Literal["literal", "optional", "number", "gap"]
    text: str = ""


def fits(parts: tuple[Part, ...], name: str) -> bool:
    """Tell whether a name consists of these parts in this order."""
    places = {0}
    for part in parts:
        places = _after(part, name, places)
        if not places:
            return False
    return len(name) in places


def _after(part: Part, name: str, places: set[int]) -> set[int]:
    """Return the positions where a part can end if it begins at one of `places`."""
    if part.kind in ("literal", "optional"):
        found = {at + len(part.text) for at in places if name.startswith(part.text, at)}
        return found | places if part.kind == "optional" else found
    if part.kind == "gap":
        return _run(name, places, lambda character: character not in _SEPARATORS)
    blanks = places | _run(name, places, lambda character: character == " ")
    return _run(name, blanks, str.isdecimal)


def _run(name: str, places: set[int], accepts: Callable[[str], bool]) -> set[int]:
    """Return the positions where a run of accepted characters that begins in `places` can end."""
    found, inside = set(), False
    for index, character in enumerate(name):
        inside = (inside or index in places) and accepts(character)
        if inside:
            found.add(index + 1)
    return found
