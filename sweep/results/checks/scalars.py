"""Checks of single values of JSON: a text, a name, a number."""

from math import isfinite
from typing import Any, Final

from sweep.base.text import has_hidden_characters
from sweep.files.bounded_json import LARGEST

MOST_NAME_LETTERS: Final = 255  # the longest name that file systems allow


def require(holds: bool, message: str) -> None:
    """Raise an error unless a condition holds.

    Raises:
        ValueError: with the message.
    """
    if not holds:
        raise ValueError(message)


def check_text(value: Any, what: str, most: int) -> None:
    """Refuse what is not a text, is too long, or holds characters that control a terminal.

    Newlines and tabs are allowed.

    Args:
        value: the value.
        what: the words for it in the message.
        most: the largest number of letters.

    Raises:
        ValueError: naming it.
    """
    require(isinstance(value, str), f"its {what} is not a text")
    require(len(value) <= most, f"its {what} has more than {most:,} letters")
    require(not has_hidden_characters(value), f"its {what} holds control characters")


def check_name(value: Any, what: str) -> None:
    """Refuse what can't name an array, a knob or a dimension: anything except an identifier.

    Args:
        value: the value.
        what: what it shall name, for the message.

    Raises:
        ValueError: naming it.
    """
    require(
        isinstance(value, str) and len(value) <= MOST_NAME_LETTERS and value.isidentifier(),
        f"{str(value)[:40]!r} is not a name for {what}",
    )


def is_whole_number(value: Any) -> bool:
    """Tell whether a value is a whole number; a bool is not one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number; a bool is not one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_amount(value: Any) -> bool:
    """Tell whether a value is a finite number, at least 0 and below the limit for numbers in our JSON."""
    return is_number(value) and 0 <= value < LARGEST
