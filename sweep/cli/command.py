"""What all commands share: options parsed by tyro, one-line error messages, and exit codes."""

import contextlib
import gc
import io
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import tyro

from sweep.base.errors import REMEDIES, SweepError
from sweep.base.signals import Ending, Terminated, ending_of, obey_signals
from sweep.base.text import make_visible
from sweep.cli import crash, streams
from sweep.cli.stores import open_store, remove_copies
from sweep.files.places import parse_path

_MOST_CHARACTERS: Final = 300  # of another library's message
_STORES: Final = ("store", "stores", "prefer")  # options that name stores to read
_Options = TypeVar("_Options")
_ALL_MEMORY: Final = 1e18  # bytes: more than any machine has
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")  # one of the numbers of a value
# Imports and tracing make millions of objects that stay. Python's usual thresholds look through them hundreds of times.
_GARBAGE_THRESHOLDS: Final = (50_000, 20, 20)


def parse(options: type[_Options], args: Sequence[str], prog: str) -> _Options:
    """Parse the options of a command line.

    Args:
        options: a dataclass; the docs of its fields are the help texts.
        args: the command line without the program.
        prog: the program as the user calls it, such as "python -m sweep.plot".

    Raises:
        SweepError: for any error, in one line.
        SystemExit: with code 0, after `--help`.
    """
    found, rest = parse_known(options, args, prog)
    if rest:
        _call_tyro(lambda: tyro.cli(options, args=args, prog=prog))  # raises an error that suggests an option
        raise SweepError(f"unknown options: {' '.join(rest)}; see {prog} --help")
    return found


def parse_known(options: type[_Options], args: Sequence[str], prog: str) -> tuple[_Options, list[str]]:
    """Parse the known options, and return them and the other arguments, in order. Otherwise like `parse`."""
    for arg in args:  # an empty path would mean the working directory
        option, sign, value = arg.partition("=") if arg.startswith("--") else ("a name or a value", "=", arg)
        if sign and not value.strip():
            raise SweepError(f"{option} is empty: leave it out, or give a value")
    found, rest = _call_tyro(lambda: tyro.cli(options, args=args, prog=prog, return_unknown_args=True))
    return _parse_paths(found), rest


def _parse_paths(options: Any) -> Any:
    """Return options with all of their paths checked and expanded (see `places.parse_path`), and stores opened."""
    changed: dict[str, Any] = {}
    for name, value in ((each.name, getattr(options, each.name)) for each in fields(options) if each.init):
        parse_one = open_store if name in _STORES else parse_path
        if isinstance(value, Path):
            changed[name] = parse_one(value)
        elif isinstance(value, tuple) and value and all(isinstance(each, Path) for each in value):
            changed[name] = tuple(map(parse_one, value))
    return replace(options, **changed)


def parse_pairs(option: str, text: str) -> dict[str, str]:
    """Parse pairs such as "seed=3,width=64" into values by name, as text.

    Args:
        option: the option whose value this is, such as "--lane".
        text: pairs separated by commas; a value may be several numbers, as in "amplitudes=1, 0.5".

    Raises:
        SweepError: for an incomplete pair, or a name that is given twice.
    """
    found: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in item.partition("="))
        if found and not sign and _NUMBER.fullmatch(name):
            last = next(reversed(found))
            found[last] = f"{found[last]}, {name}"
            continue
        name = name.replace("-", "_")
        if not (name and sign):
            raise SweepError(f"{option} takes knob=value, several separated by commas, got {item!r}")
        if name in found:
            raise SweepError(f"{option} names {name!r} twice, {found[name]} and {value}: give it once")
        found[name] = value
    return found


def parse_size(text: str) -> int:
    """Parse a size such as "2GiB", "500MB" or "1e9" as a number of bytes.

    Raises:
        SweepError: for anything else.
    """
    units = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?) ?([a-z]*)", text.strip().lower())
    try:
        if found and found[2] in units and 0 < (size := float(found[1]) * units[found[2]]) < _ALL_MEMORY:
            return int(size)
    except ValueError:
        pass
    raise SweepError(f"--memory must be a size such as 2GiB or 500MB, below 1e18 bytes, got {text!r}")


def run_guarded(main: Callable[[Sequence[str]], object], args: Sequence[str] | None = None) -> int:
    """Run a command's main function and turn an exception into one line and an exit code.

    Args:
        main: takes the command line without the program.
        args: that command line; by default that of this process.

    Returns:
        0; for a `SweepError` its code, which usually is 2; 128 and the number of the signal that ended it, such as 130
        for Ctrl-C; 1 for any other exception, whose traceback is written to a file. With `--debug` among the arguments
        the traceback is also printed.
    """
    if args is None:
        args = sys.argv[1:]
        streams.prepare_process(debug="--debug" in args)
    with streams.show_warnings(debug="--debug" in args):
        return _run_and_catch(main, args)


def _run_and_catch(main: Callable[[Sequence[str]], object], args: Sequence[str]) -> int:
    try:
        os.getcwd()
    except OSError as error:
        message = f"the working directory can't be used ({error.strerror}): change to one that exists"
        return _print_error(message, args, 2)
    try:
        with remove_copies():
            _run_and_flush(main, args)
    except SweepError as error:
        return _print_error(str(error), args, error.code)
    except (KeyboardInterrupt, Terminated) as error:
        return _print_ending(ending_of(error), args)
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (so that closing it at exit does not fail)
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REMEDIES:  # anywhere, also in a temporary folder
            where, remedy = error.filename or "a file", REMEDIES[error.errno]
            return _print_error(f"can't write {where} ({error.strerror}): {remedy}", args, 2)
        return _print_error(_describe_internal_error(error, args), args, 1)
    return 0


def say(text: object) -> None:
    """Print a line on standard output, with control characters escaped."""
    sys.stdout.write(f"{make_visible(str(text))}\n")
    sys.stdout.flush()


def _run_and_flush(main: Callable[[Sequence[str]], object], args: Sequence[str]) -> None:
    """Run a main function and flush its output, so that a failure to write it is still reported."""
    try:
        main(args)
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _describe_internal_error(error: Exception, args: Sequence[str]) -> str:
    """Return the message for an error in sweep itself, which asks the user to report it."""
    message = textwrap.shorten(f"{type(error).__name__}: {error}", _MOST_CHARACTERS, placeholder=" ...")
    report = crash.write_report(error, args)
    where = f"in {report}" if report else "printed with --debug"
    return f"internal error: {message}; please report it with its traceback, which is {where}; stored results are kept"


def run_command(main: Callable[[Sequence[str]], object]) -> NoReturn:
    """Run this process as a command: run its main function, obey signals until its last line, and exit with its code.

    Args:
        main: takes the command line without the program.
    """
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    with obey_signals() as requests:
        code = run_guarded(main)
        sys.stdout.flush()
        requests.leave()  # all output is written: from here on a signal ends the process at once
        if requests.ending and code != requests.ending.code:  # a library swallowed the exception
            code = _print_ending(requests.ending, sys.argv[1:])
        if code:
            sys.stderr.flush()
            os._exit(code)  # without waiting for a compilation that still runs in a thread
    sys.exit(code)


def _print_error(message: str, args: Sequence[str], code: int) -> int:
    streams.drop_notes()
    with contextlib.suppress(OSError, ValueError):  # the exit code remains where nothing can be printed
        if "--debug" in args:
            sys.stderr.write(make_visible(traceback.format_exc()))
        sys.stderr.write(f"sweep: {make_visible(' '.join(message.split()))}\n")
        sys.stderr.flush()
    return code


def _print_ending(ending: Ending, args: Sequence[str]) -> int:
    return _print_error(f"stopped by {ending.words}", args, ending.code)


def _call_tyro(call: Callable[[], Any]) -> Any:
    """Call tyro and raise its error message, which it prints as a box, as a `SweepError`."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return call()
    except SystemExit as end:
        if not end.code:
            raise
        raise SweepError(to_one_line(printed.getvalue())) from None


def to_one_line(box: str) -> str:
    """Reduce tyro's box to one line: what is wrong, and the option that was probably meant.

    Args:
        box: as printed: a title and sections between horizontal rules, framed by bars, or without bars where the
            terminal has only ASCII.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│ ") for line in plain.splitlines() if not line.startswith(("╭", "╰"))]
    sections = [part.split("\n") for part in re.split(r"(?m)^[─-]{4,}$", "\n".join(lines))]
    first, *others = sections if "╭" in plain else sections[1:]
    meant = [line.split()[0].rstrip(",") for section in others for line in _suggestions(section)]
    wrong = " ".join(" ".join(first).split())
    return f"{wrong}; did you mean {meant[0]}?" if meant else wrong


def _suggestions(section: Sequence[str]) -> list[str]:
    """Return the option lines of a section of suggestions."""
    suggests = any(line.startswith(("Perhaps you meant", "Arguments similar")) for line in section)
    return [line for line in section if line.startswith("--")] if suggests else []
