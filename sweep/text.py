"""Text that a name, a figure, a table and a terminal can hold."""

import unicodedata
from typing import Any, Final

from sweep.errors import SweepError

LONGEST: Final = 1000  # letters of a sentence: more has no room in a figure
_NO_LETTERS: Final = ("Cc", "Cs", "Zl", "Zp")  # of Unicode: control characters, surrogates, separators of lines
_BREAKS: Final = str.maketrans("\n\t\r", "   ")  # which a page may have in a long sentence


def check_letters(label: str, text: str) -> None:
    """Refuse what no name can hold: control characters, and surrogates, which stand for letters that are none.

    Args:
        label: whose text it is, as "a page's name".
        text: the text.

    Raises:
        SweepError: naming the first of them.
    """
    for letter in text:
        if unicodedata.category(letter) in _NO_LETTERS:
            shown = ascii(text if len(text) <= 60 else f"{text[:60]}...")
            raise SweepError(f"{label} can't have the character {letter!a} in it, got {shown}")


def check_text(label: str, value: Any, most: int = LONGEST) -> None:
    """Refuse what can't be written in a figure, a table and a terminal: no text, too much, or letters that are none.

    Args:
        label: whose text it is, as "question".
        value: what was given; it may have line breaks.
        most: letters.

    Raises:
        SweepError: naming what is wrong.
    """
    if not isinstance(value, str):
        raise SweepError(f"{label} must be text, got {value!r}")
    if len(value) > most:
        raise SweepError(f"{label} must have at most {most} letters, got {len(value)}: {value[:40]!r}...")
    check_letters(label, value.translate(_BREAKS))


def printable(text: str) -> str:
    """Give a text with a question mark for each letter that can't be written, as an older store may hold some."""
    return "".join("?" if unicodedata.category(each) in _NO_LETTERS and each != "\n" else each for each in text)
