"""Text that came from elsewhere, as a terminal and a spreadsheet may have it: shown, never obeyed."""

import re
from typing import Final

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
