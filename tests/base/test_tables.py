"""Tables of any width: no number is ever cut, nothing is left out, no line is longer than the terminal."""

import io

import pytest
from rich.console import Console

from sweep.base import tables

HEADS = ("learning rate", "activation", "loss", "halving epochs", "95% interval", "p", "lost")
ROWS = (
    ("0.000123456", "a [b]name[/b] of several words", "-1.23456e-05", "10 20 - 4567", "[0.00123, 0.00456]",
     "0.0078125", "8, 0"),
    ("10", "relu", "∞", "- - - -", "[1.000123, 2]", "1", "0, 8"),
)  # fmt: skip


def printed(width: int, **options) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    tables.show(console, HEADS, ROWS, **options)
    return console.file.getvalue()


@pytest.mark.parametrize("names", [1, 2])
@pytest.mark.parametrize("text", [False, True])
def test_every_word_is_whole_at_every_width(names, text):
    words = {word for row in (HEADS, *ROWS) for cell in row for word in cell.split()}
    for width in range(20, 201):
        said = printed(width, names=names, text=text)
        assert max(map(len, said.splitlines())) <= width, width
        found = {word.rstrip(",:") for word in said.split()}
        assert {word.rstrip(",") for word in words} <= found, width


def test_more_columns_than_a_line_has_room_for_stand_below_and_that_is_said():
    assert "more columns" not in printed(120, names=2)
    said = " ".join(printed(50, names=2).split())
    below = said.split("more columns of the same rows, for which a line has no room:")
    assert len(below) > 1
    assert all("learning" in part and "0.000123456" in part for part in below), "each names its rows"


def test_a_column_asks_for_no_more_than_is_of_use():
    assert "[0.00123, 0.00456]" in printed(200, names=2)
    assert "[0.00123, 0.00456]" not in printed(200, names=2, most={"95% interval": 10})


def test_no_rows_are_a_head():
    console = Console(file=io.StringIO(), width=40)
    tables.show(console, HEADS[:2], ())
    assert "activation" in console.file.getvalue()
