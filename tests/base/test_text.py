"""Text from an untrusted source is shown by terminals and spreadsheets, and executed by neither."""

from io import StringIO
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from rich.table import Table

from sweep import SweepError
from sweep.base.text import has_hidden_characters, make_inert, make_visible, short_number
from sweep.cli.command import run_guarded, say
from sweep.cli.terminal import Terminal
from sweep.export.long import inert_words

OBEYED = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x00",
    "\x7f",
    "\r",
    "\u202e",
    "\u2066",
    "\u2028",
    "\ud800",
    "\x08",
]


@pytest.mark.parametrize("text", OBEYED)
def test_control_characters_are_escaped(text: str) -> None:
    shown = make_visible(f"a{text}b")
    assert shown.startswith(f"a{text[0].encode('unicode_escape').decode()}")
    assert shown.isascii()
    assert not has_hidden_characters(shown)
    assert has_hidden_characters(text)


def test_words_of_all_languages_and_line_breaks_are_kept() -> None:
    text = "größer\tals\n日本語 עברית 👩\u200d🔬 f̂ₖ ≤ ½"
    assert make_visible(text) == text


@pytest.mark.parametrize("text", OBEYED)
def test_error_messages_and_output_have_no_control_characters(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(args: object) -> None:
        say(f"wrote {text}x")
        raise SweepError(f"unknown page {text}x")

    assert run_guarded(main, []) == 2
    assert run_guarded(main, ["--debug"]) == 2
    out, err = capsys.readouterr()
    assert not has_hidden_characters(out + err)
    assert err.startswith("sweep: unknown page ")


@pytest.mark.parametrize(
    "text", [*OBEYED, "[bold]not bold[/bold]", "[link=file:///etc/passwd]x[/link]", "[/]", ":smile:"]
)
def test_the_terminal_shows_text_as_it_is(text: str) -> None:
    file = StringIO()
    console = Terminal(file=file, force_terminal=True, width=200)
    table = Table(f"head {text}")
    table.add_row(f"cell {text}")
    console.print(f"line {text}", style="bold")
    console.print(table)
    output = file.getvalue().replace("\x1b[0m", "").replace("\x1b[1m", "")  # the escape sequences of rich itself
    assert not has_hidden_characters(output)
    for place in ("line", "head", "cell"):
        assert f"{place} {make_visible(text)}" in output


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0"])
def test_a_cell_that_a_spreadsheet_would_execute_gets_an_apostrophe(text: str) -> None:
    assert make_inert(text) == f"'{text}"
    assert make_inert(f"x{text}") == f"x{text}"


def test_numbers_and_missing_values_of_a_table_are_unchanged() -> None:
    frame = pd.DataFrame(
        {"word": ["-a", "b", None], "text": pd.array(["=x", pd.NA, ""], "string"), "number": [-1.5, np.nan, 2]}
    )
    written = inert_words(frame).to_csv(index=False)
    assert written.splitlines() == ["word,text,number", "'-a,'=x,-1.5", "b,,", ",,2.0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"), (12345.6, "12300"), (1234567, "1.23e+06"), (0, "0"), (1, "1"), (-0.5, "-0.5"),
        (0.99996, "1"), (inf, "∞"), (-inf, "-∞"), (nan, "unknown"), (1.5e-7, "1.5e-07"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, text):
    assert short_number(value) == text
