"""JSON from an untrusted source: the depth of its nesting and the size of its integers are bounded."""

import json
import re
from itertools import accumulate
from typing import Any, Final

MOST_DEPTH: Final = 64  # lists and objects inside each other
LARGEST: Final = 2**63  # bound of integers

# A string, closed or not, so that no character is scanned twice; possessive, so that the search never backtracks.
_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_OTHER: Final = re.compile(r"[^\[\]{}]+")
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse(text: str) -> Any:
    """Parse JSON after its nesting has been checked.

    Args:
        text: JSON; the caller bounds its length.

    Raises:
        ValueError: for text that is not JSON, is nested deeper than `MOST_DEPTH` or holds an integer whose absolute
            value is `LARGEST` or more.
    """
    brackets = _OTHER.sub("", _TEXT.sub("", text))
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH}")
    try:
        return json.loads(text, parse_int=_parse_integer)
    except RecursionError as error:  # impossible at this depth with today's parser
        raise ValueError(f"nested deeper than {MOST_DEPTH}") from error


def _parse_integer(digits: str) -> int:
    """Parse an integer; a very long one is refused before its digits are converted."""
    if len(digits) > 20 or abs(found := int(digits)) >= LARGEST:
        raise ValueError(f"the number {digits[:20]}... is too large")
    return found
