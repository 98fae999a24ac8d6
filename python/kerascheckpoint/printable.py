"""Make text from files safe to print on a terminal."""

import unicodedata


def printable(text: str) -> str:
    """Return `text` with everything that a terminal would obey instead of showing escaped.

    These are control characters, line separators and characters that change the writing direction.
    Undecodable bytes of a file name stay, so that the name still leads to the file.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return character.encode("unicode_escape").decode()
    return character
