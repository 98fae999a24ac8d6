"""Text from files and names, made safe for a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Return `text` with everything that a terminal would obey, and not show, as an escape.

    That is: control characters, those that turn the direction of writing, and line separators. A
    byte of a file name that is no text stays as it is, so that the name still leads to the file.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character
