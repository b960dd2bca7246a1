"""What the commands share: options parsed by tyro, and every refusal in one line."""

import contextlib
import io
import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import tyro

from sweep.base.errors import REMEDIES, SweepError
from sweep.base.signals import ENDINGS, HungUp, Terminated, obey_signals
from sweep.base.text import make_visible
from sweep.cli import crash, streams
from sweep.files.places import parse_path

_LONGEST: Final = 300  # letters of another library's message
_Options = TypeVar("_Options")
_ALL_MEMORY: Final = 1e18  # bytes: more than any machine has


def parse(options: type[_Options], args: Sequence[str], prog: str) -> _Options:
    """Read options from the command line.

    Args:
        options: a dataclass; its field docs are the help.
        args: the command line without the program.
        prog: the program as the user calls it, such as "python -m sweep.plot".

    Raises:
        SweepError: for anything wrong, in one line.
        SystemExit: with code 0, after `--help`.
    """
    found, rest = parse_known(options, args, prog)
    if rest:
        _tyro(lambda: tyro.cli(options, args=args, prog=prog))  # refuses, and knows what was meant
        raise SweepError(f"unknown options: {' '.join(rest)}; see {prog} --help")
    return found


def parse_known(options: type[_Options], args: Sequence[str], prog: str) -> tuple[_Options, list[str]]:
    """Read the options that there are, and give back what is left over, in order. Otherwise as `parse`."""
    for arg in args:  # an empty path would be the present folder
        option, sign, value = arg.partition("=") if arg.startswith("--") else ("a name or a value", "=", arg)
        if sign and not value.strip():
            raise SweepError(f"{option} is empty: leave it out, or give something")
    found, rest = _tyro(lambda: tyro.cli(options, args=args, prog=prog, return_unknown_args=True))
    return _with_places(found), rest


def _with_places(options: Any) -> Any:
    """Give options with all paths in them as their files are opened: see `places.parse_path`."""
    changed: dict[str, Any] = {}
    for name, value in ((each.name, getattr(options, each.name)) for each in fields(options) if each.init):
        if isinstance(value, Path):
            changed[name] = parse_path(value)
        elif isinstance(value, tuple) and value and all(isinstance(each, Path) for each in value):
            changed[name] = tuple(map(parse_path, value))
    return replace(options, **changed)


def pairs(option: str, text: str) -> dict[str, str]:
    """Read "seed=3,width=64" into names and texts.

    Args:
        option: what it was given with, such as "--lane".
        text: pairs with commas between them.

    Raises:
        SweepError: for what is no pair, and for a name that is there twice.
    """
    found: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in item.partition("="))
        name = name.replace("-", "_")
        if not (name and sign):
            raise SweepError(f"{option} takes knob=value, several with commas between them, got {item!r}")
        if name in found:
            raise SweepError(f"{option} names {name!r} twice, {found[name]} and {value}: give it once")
        found[name] = value
    return found


def to_bytes(text: str) -> int:
    """Read a size such as "2GiB", "500MB" or "1e9".

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


def guarded(main: Callable[[Sequence[str]], object], args: Sequence[str] | None = None) -> int:
    """Run a command's main function and turn what it raises into one line and an exit code.

    Args:
        main: takes the command line without the program.
        args: that command line; by default this process's.

    Returns:
        0; 2 for a `SweepError`; 130 for Ctrl-C; 143 for SIGTERM; 129 for SIGHUP; 1 for anything else, whose traceback
        is kept in a file. With `--debug` among the arguments the traceback is printed as well.
    """
    if args is None:
        args = sys.argv[1:]
        streams.settle(debug="--debug" in args)
    with streams.shown(debug="--debug" in args):
        return _run_guarded(main, args)


def _run_guarded(main: Callable[[Sequence[str]], object], args: Sequence[str]) -> int:
    try:
        os.getcwd()
    except OSError as error:
        return _tell(f"the working directory can't be used ({error.strerror}): change to one that is there", args, 2)
    try:
        _run_and_flush(main, args)
    except SweepError as error:
        return _tell(str(error), args, 2)
    except KeyboardInterrupt:
        return _tell("stopped by Ctrl-C", args, 130)
    except HungUp:
        return _tell("stopped by SIGHUP", args, 129)
    except Terminated:
        return _tell("stopped by SIGTERM", args, 143)
    except BrokenPipeError:  # whoever read our output has stopped, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (so that closing it at exit fails no more)
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REMEDIES:  # wherever it struck, such as a temporary folder
            where, remedy = error.filename or "a file", REMEDIES[error.errno]
            return _tell(f"can't write {where} ({error.strerror}): {remedy}", args, 2)
        return _tell(_internal(error, args), args, 1)
    return 0


def say(text: object) -> None:
    """Print a line on standard output; what a terminal would obey in it is written out."""
    sys.stdout.write(f"{make_visible(str(text))}\n")
    sys.stdout.flush()


def _run_and_flush(main: Callable[[Sequence[str]], object], args: Sequence[str]) -> None:
    """Run it, and have all that it said go out while a failure can still be told."""
    try:
        main(args)
    except SystemExit:
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _internal(error: Exception, args: Sequence[str]) -> str:
    """Say that it is a fault of ours, and what to report."""
    told = textwrap.shorten(f"{type(error).__name__}: {error}", _LONGEST, placeholder=" ...")
    kept = crash.keep(error, args)
    where = f"in {kept}" if kept else "printed with --debug"
    return f"internal error: {told}; please report it with its traceback, which is {where}; what was stored is kept"


def command(main: Callable[[Sequence[str]], object]) -> NoReturn:
    """Be a command: run its main function, obey signals up to its last line, and leave with its exit code.

    Args:
        main: takes the command line without the program.
    """
    with obey_signals() as requests:
        code = guarded(main)
        sys.stdout.flush()
        for number in ENDINGS:  # all is said: from here on a signal ends the process at once
            signal.signal(number, signal.SIG_DFL)
        if requests.ending and code != requests.ending.code:  # some library swallowed what was raised
            code = _tell(f"stopped by {requests.ending.words}", sys.argv[1:], requests.ending.code)
        if code:
            sys.stderr.flush()
            os._exit(code)  # a compilation that was left behind must not hold the process back
    sys.exit(code)


def _tell(message: str, args: Sequence[str], code: int) -> int:
    streams.withhold()
    with contextlib.suppress(OSError, ValueError):  # who can't be told has the code
        if "--debug" in args:
            sys.stderr.write(make_visible(traceback.format_exc()))
        sys.stderr.write(f"sweep: {make_visible(' '.join(message.split()))}\n")
        sys.stderr.flush()
    return code


def _tyro(call: Callable[[], Any]) -> Any:
    """Call tyro and raise its complaint, which it prints as a box, as a `SweepError`."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return call()
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise SweepError(one_line(printed.getvalue())) from None


def one_line(box: str) -> str:
    """Reduce tyro's box to a line: what is wrong, and the option that was meant where it knows one.

    Args:
        box: as printed: a title and sections between rules, within bars, or without where the terminal
            has ASCII only.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│ ") for line in plain.splitlines() if not line.startswith(("╭", "╰"))]
    sections = [part.split("\n") for part in re.split(r"(?m)^[─-]{4,}$", "\n".join(lines))]
    first, *others = sections if "╭" in plain else sections[1:]
    meant = [line.split()[0].rstrip(",") for section in others for line in _suggestions(section)]
    wrong = " ".join(" ".join(first).split())
    return f"{wrong}; did you mean {meant[0]}?" if meant else wrong


def _suggestions(section: Sequence[str]) -> list[str]:
    """Give the option lines of a section of suggestions."""
    suggests = any(line.startswith(("Perhaps you meant", "Arguments similar")) for line in section)
    return [line for line in section if line.startswith("--")] if suggests else []
