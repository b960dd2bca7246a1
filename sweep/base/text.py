"""Text that names, figures, tables and terminals can hold; control characters in it are shown and never executed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isinf, isnan
from typing import Any, Final

from sweep.base.errors import SweepError

MAX_LENGTH: Final = 1000  # characters of a sentence: a figure has no space for more
_BREAKS: Final = str.maketrans("\n\t\r", "   ")  # allowed in a long sentence of a page

# Characters that a terminal executes, or that hide or reverse the text around them: C0 and C1 controls except tab and
# newline, marks and overrides of direction, invisible separators, and surrogates, which no encoding can write.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SHOWN: Final[dict[str, str]] = {}  # what users call a temporary folder, by its path
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # beginnings of a cell that a spreadsheet may execute


def make_visible(text: str) -> str:
    r"""Replace characters that a terminal would execute or hide by their Python escapes, such as "\x1b".

    Args:
        text: any text; tabs and newlines are kept. Temporary folders in it get the names that users know.
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), name_places(text))


@contextmanager
def shown_as(folder: str, name: str) -> Iterator[None]:
    """Show a folder by another name within a `with` block, wherever text is printed.

    Args:
        folder: its path.
        name: what users call it.
    """
    _SHOWN[folder] = name
    try:
        yield
    finally:
        del _SHOWN[folder]


def name_places(text: str) -> str:
    """Replace the paths of temporary folders by the names that users know."""
    for folder, name in _SHOWN.items():
        text = text.replace(folder, name)
    return text


def has_hidden_characters(text: str) -> bool:
    """Tell whether `make_visible` would change a text."""
    return _HIDDEN.search(text) is not None


def make_inert(text: str) -> str:
    """Return a text as a CSV cell that no spreadsheet executes: an apostrophe is put before a possible formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def check_characters(label: str, text: str) -> None:
    """Refuse characters that a name can't hold: control characters, invisible ones and surrogates.

    Args:
        label: what the text is, such as "a page's name".
        text: the text.

    Raises:
        SweepError: for the first such character.
    """
    for character in text:
        if character in "\n\t" or _HIDDEN.match(character):
            shown = ascii(text if len(text) <= 60 else f"{text[:60]}...")
            raise SweepError(f"{label} can't have the character {character!a} in it, got {shown}")


def check_text(label: str, value: Any, most: int = MAX_LENGTH) -> None:
    """Refuse a value that can't be written in figures, tables and terminals.

    Args:
        label: what the text is, such as "question".
        value: the value; it may have line breaks.
        most: the largest number of characters.

    Raises:
        SweepError: for a value that is not text, is too long, or has characters that can't be shown.
    """
    if not isinstance(value, str):
        raise SweepError(f"{label} must be text, got {value!r}")
    if len(value) > most:
        raise SweepError(f"{label} must have at most {most} characters, got {len(value)}: {value[:40]!r}...")
    check_characters(label, value.translate(_BREAKS))


def short_number(value: float) -> str:
    """Write a number with three digits, infinity as its sign and NaN as "unknown"."""
    if isnan(value):
        return "unknown"
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{float(f'{value:.3g}'):g}"
