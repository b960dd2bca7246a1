"""JSON that somebody else may have written: its nesting and its numbers are bounded."""

import json
import re
from itertools import accumulate
from typing import Any, Final

MOST_DEPTH: Final = 64  # lists and objects in each other
LARGEST: Final = 2**63  # of whole numbers

# A text, ended or not, so that no text is looked at twice; possessive, so that none is looked at backwards.
_TEXT: Final = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_OTHER: Final = re.compile(r"[^\[\]{}]+")
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse(text: str) -> Any:
    """Parse JSON, once it is known not to be nested too deeply.

    Args:
        text: JSON; its length is the caller's to bound.

    Raises:
        ValueError: for what is no JSON, nests deeper than `MOST_DEPTH` or holds a whole number beyond `LARGEST`.
    """
    brackets = _OTHER.sub("", _TEXT.sub("", text))
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH}")
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:  # as deep as it is bounded it can't be, so this is for other parsers than today's
        raise ValueError(f"nested deeper than {MOST_DEPTH}") from error


def _whole(digits: str) -> int:
    """Read a whole number; of a long one not even all digits."""
    if len(digits) > 20 or abs(found := int(digits)) >= LARGEST:
        raise ValueError(f"the number {digits[:20]}... is too large")
    return found
