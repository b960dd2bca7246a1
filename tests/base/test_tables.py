"""Tables of any width: no number is cut, nothing is left out, no line is longer than the terminal is wide."""

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
    tables.print_table(console, HEADS, ROWS, **options)
    return console.file.getvalue()


@pytest.mark.parametrize("names", [1, 2])
@pytest.mark.parametrize("text", [False, True])
def test_no_word_is_broken_at_any_width(names, text):
    words = {word for row in (HEADS, *ROWS) for cell in row for word in cell.split()}
    for width in range(20, 201):
        output = printed(width, label_columns=names, text=text)
        assert max(map(len, output.splitlines())) <= width, width
        found = {word.rstrip(",:") for word in output.split()}
        assert {word.rstrip(",") for word in words} <= found, width


def test_columns_that_do_not_fit_stand_below_under_a_line_that_says_so():
    assert "more columns" not in printed(120, label_columns=2)
    output = " ".join(printed(50, label_columns=2).split())
    below = output.split("more columns of the same rows, which do not fit beside the others:")
    assert len(below) > 1
    assert all("learning" in part and "0.000123456" in part for part in below), "each repeats the labels of its rows"


def test_a_column_is_no_wider_than_its_largest_width():
    assert "[0.00123, 0.00456]" in printed(200, label_columns=2)
    assert "[0.00123, 0.00456]" not in printed(200, label_columns=2, max_widths={"95% interval": 10})


def test_a_table_without_rows_has_headers():
    console = Console(file=io.StringIO(), width=40)
    tables.print_table(console, HEADS[:2], ())
    assert "activation" in console.file.getvalue()
