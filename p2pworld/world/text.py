"""What people write to each other: text that shows as it was meant, or a sentence that says why not."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["line_fault", "neat", "paragraphs_fault"]

# characters that turn the direction of what stands around them (Unicode bidirectional algorithm, UAX #9)
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NOT_IN_A_LINE: Final = ("Cc", "Cs", "Zl", "Zp")
_MARKS_IN_A_ROW: Final = (
    4  # Vietnamese needs 2, Hangul jamo none; towers of marks cover the lines around them
)


def line_fault(text: str, characters_max: int) -> str | None:
    """Why this is not one line of at most so many characters that harms nobody's screen; None if it is."""
    if len(text) > characters_max:
        return f"At most {characters_max} characters, please."
    if not text.strip():
        return "There is nothing to read in it."
    return _odd(text)


def paragraphs_fault(text: str, characters_max: int) -> str | None:
    """The same for text that may have several lines."""
    if len(text) > characters_max:
        return f"At most {characters_max} characters, please."
    if not text.strip():
        return "There is nothing to read in it."
    return next((fault for line in text.split("\n") if (fault := _odd(line.replace("\t", " ")))), None)


def neat(text: str) -> str:
    """The text in the one form in which it is kept: composed (NFC), lines ended by one character, no space around."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _odd(line: str) -> str | None:
    marks = 0
    for character in line:
        category = unicodedata.category(character)
        if category in _NOT_IN_A_LINE or character in _TURNING:
            return "It is to be one line, without control characters."
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_IN_A_ROW:
            return "Too many marks on one letter."
    return None
