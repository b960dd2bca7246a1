"""Choices among many things as short texts."""

import zlib
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.base.masks import read_mask, write_mask


@given(st.lists(st.booleans(), max_size=70))
def test_what_is_written_is_read(chosen: list[bool]) -> None:
    assert read_mask(write_mask(np.array(chosen, bool)), len(chosen)).tolist() == chosen


def test_a_pattern_of_a_million_is_short() -> None:
    assert len(write_mask(np.arange(10**6) % 8 < 7)) < 2000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no base64!", "base64|character"),
        (b64encode(b"not compressed").decode(), "can't be decompressed"),
        (write_mask(np.ones(9, bool)), "does not hold 8 bits"),
        (write_mask(np.ones(7, bool))[:-4], "decompressed|does not hold|padding"),
        (b64encode(zlib.compress(bytes(2**24))).decode(), "does not hold 8 bits"),  # is not decompressed as a whole
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_mask(text, 8)
