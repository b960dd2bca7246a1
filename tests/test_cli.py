"""What the doors share: parsing, refusals in one line, exit codes."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from sweep.cli import guarded, one_line, parse, parse_known
from sweep.errors import SweepError


@dataclass(frozen=True)
class Options:
    """Do something.

    Args:
        store: a store.
        count: how many.
        debug: show tracebacks.
    """

    store: tyro.conf.Positional[Path]
    count: int = 3
    debug: bool = False


def test_options_are_parsed_with_their_types():
    assert parse(Options, ["a/b", "--count", "7"], "prog") == Options(Path("a/b"), 7)


def test_what_is_left_over_is_given_back_in_order():
    options, rest = parse_known(Options, ["a", "--epochs", "5", "--count", "2", "--task.noise", "0.1"], "prog")
    assert options == Options(Path("a"), 2)
    assert rest == ["--epochs", "5", "--task.noise", "0.1"]


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["Missing", "PATH"]),
        (["a", "--count", "many"], ["--count", "'many'"]),
        (["a", "--cuont", "2"], ["--cuont", "did you mean --count?"]),
        (["a", "b"], ["Unrecognized options: b"]),
    ],
)
def test_tyros_boxes_become_one_line(args, parts, capsys):
    with pytest.raises(SweepError) as refusal:
        parse(Options, args, "prog")
    said = str(refusal.value)
    assert all(part in said for part in parts)
    assert "\n" not in said
    assert not set(said) & set("╭╰│─")
    assert capsys.readouterr().err == "", "the box itself is not shown"


UNICODE = """\
╭─ Unrecognized options ───────────────╮
│ Unrecognized options: --figs-dir, 2  │
│ ──────────────────────────────────── │
│ Arguments similar to --figs-dir:     │
│     --figures-dir {None}|PATH        │
│         (default: None)              │
│ ──────────────────────────────────── │
│ For full helptext, run prog --help   │
╰──────────────────────────────────────╯
"""
ASCII = """\
 Value error
 ----------------------------------------------------------------
  Error parsing --n: invalid literal for int() with base 10: 'q'
  ----------------------------------------------------------------
  Argument helptext:
      --n INT
  ----------------------------------------------------------------
  For full helptext, see prog --help
"""


@pytest.mark.parametrize(
    ("box", "line"),
    [
        (UNICODE, "Unrecognized options: --figs-dir, 2; did you mean --figures-dir?"),
        (ASCII, "Error parsing --n: invalid literal for int() with base 10: 'q'"),
    ],
)
def test_both_kinds_of_box_are_read(box, line):
    assert one_line(box) == line


def test_help_is_printed_and_leaves_with_zero(capsys):
    with pytest.raises(SystemExit) as leaving:
        parse(Options, ["--help"], "prog")
    assert not leaving.value.code
    assert "how many" in capsys.readouterr().out


def raising(error):
    def main(args):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SweepError("no such\nthing"), 2, "sweep: no such thing\n"),
        (KeyboardInterrupt(), 130, "sweep: stopped by Ctrl-C\n"),
        (ZeroDivisionError("oh"), 1, "sweep: internal error: ZeroDivisionError: oh (--debug shows where)\n"),
    ],
)
def test_exit_codes_and_lines(error, code, said, capsys):
    assert guarded(raising(error), []) == code
    assert capsys.readouterr().err == said
    assert guarded(raising(error), ["--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_success_says_nothing(capsys):
    assert guarded(lambda args: None, ["a"]) == 0
    assert capsys.readouterr().err == ""
