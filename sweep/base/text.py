"""Text that names, figures, tables and terminals can hold; text from elsewhere is shown there, never obeyed."""

import re
from math import isinf, isnan
from typing import Any, Final

from sweep.base.errors import SweepError

LONGEST: Final = 1000  # letters of a sentence: more has no room in a figure
_BREAKS: Final = str.maketrans("\n\t\r", "   ")  # which a page may have in a long sentence

# What a terminal obeys, or what hides or turns the text around it: C0 and C1 controls but for tab and newline, marks
# and overrides of direction, separators that no editor shows, and halves of surrogate pairs, which no encoding takes.
UNSEEN: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_UNSEEN: Final = re.compile(f"[{UNSEEN}]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a cell begins that a spreadsheet may execute


def visible(text: str) -> str:
    r"""Write what a terminal would obey, or not show, as it is written in Python: "\x1b[2J".

    Args:
        text: any; tabs and newlines stay.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def has_unseen(text: str) -> bool:
    """Tell whether `visible` would change a text."""
    return _UNSEEN.search(text) is not None


def inert(text: str) -> str:
    """Give a text as a cell of CSV that no spreadsheet executes: with an apostrophe before what may begin a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def check_letters(label: str, text: str) -> None:
    """Refuse what no name can hold: control characters, and surrogates, which stand for letters that are none.

    Args:
        label: whose text it is, as "a page's name".
        text: the text.

    Raises:
        SweepError: naming the first of them.
    """
    for letter in text:
        if letter in "\n\t" or _UNSEEN.match(letter):
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


def short_number(value: float) -> str:
    """Write a number shortly: three digits, infinity as its sign."""
    if isnan(value):
        return "unknown"
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{float(f'{value:.3g}'):g}"
