"""What the commands share: parsing, one-line error messages, exit codes."""

import errno
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from sweep.base.errors import SweepError, SweepWarning
from sweep.cli.command import parse, parse_known, run_guarded, say, to_one_line


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


def test_unknown_arguments_are_returned_in_order():
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
    error = str(refusal.value)
    assert all(part in error for part in parts)
    assert "\n" not in error
    assert not set(error) & set("╭╰│─")
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
def test_boxes_in_unicode_and_ascii_are_reduced_to_one_line(box, line):
    assert to_one_line(box) == line


def test_help_is_printed_and_has_exit_code_0(capsys):
    with pytest.raises(SystemExit) as leaving:
        parse(Options, ["--help"], "prog")
    assert not leaving.value.code
    assert "how many" in capsys.readouterr().out


def raising(error):
    def main(args):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SweepError("no such\nthing"), 2, "sweep: no such thing\n"),
        (KeyboardInterrupt(), 130, "sweep: stopped by Ctrl-C\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
            2,
            "sweep: can't write /tmp/x (No space left on device): free space there\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/tmp/x"),
            2,
            "sweep: can't write /tmp/x (Read-only file system): make it writable, or work in a folder that is\n",
        ),
    ],
)
def test_each_error_has_its_exit_code_and_line(error, code, line, capsys):
    assert run_guarded(raising(error), []) == code
    assert capsys.readouterr().err == line
    assert run_guarded(raising(error), ["--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("after", "code", "error"),
    [
        (lambda args: None, 0, "note: old\n"),
        (lambda args: say("found"), 0, "note: old\n"),
        (raising(SweepError("no such thing")), 2, "sweep: no such thing\n"),
        (raising(KeyboardInterrupt()), 130, "sweep: stopped by Ctrl-C\n"),
    ],
)
def test_a_note_is_printed_with_the_next_output_and_an_error_is_one_line(after, code, error, capsys):
    def main(args):
        for _ in range(2):
            warnings.warn("old", SweepWarning, stacklevel=1)
        after(args)

    assert run_guarded(main, []) == code
    assert capsys.readouterr().err == error


def test_an_internal_error_is_one_line_that_names_a_file_with_its_traceback(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_guarded(raising(ZeroDivisionError("oh\n" + "no " * 500)), ["a b", "--c"]) == 1
    error = capsys.readouterr().err
    (kept,) = tmp_path.iterdir()
    assert error.count("\n") == 1
    assert error.startswith("sweep: internal error: ZeroDivisionError: oh no")
    assert f"please report it with its traceback, which is in {kept}" in error
    assert len(error) < 600
    assert "'a b' --c" in kept.read_text()
    assert "raise error\nZeroDivisionError: oh" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_an_internal_error_is_printed_where_no_file_can_be_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert run_guarded(raising(ZeroDivisionError("oh")), ["--debug"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("printed with --debug; stored results are kept\n")


def test_warnings_of_sweep_are_notes_and_those_of_other_libraries_need_debug(capsys):
    def main(args):
        warnings.warn("ours\nthis is", SweepWarning, stacklevel=1)
        warnings.warn("theirs", RuntimeWarning, stacklevel=1)

    assert run_guarded(main, []) == 0
    assert capsys.readouterr().err == "note: ours this is\n"
    assert run_guarded(main, ["--debug"]) == 0
    assert "RuntimeWarning: theirs" in capsys.readouterr().err


def test_success_prints_nothing(capsys):
    assert run_guarded(lambda args: None, ["a"]) == 0
    assert capsys.readouterr().err == ""
