"""What a command says and what else a process says: standard streams that may be closed, full or know ASCII only.

Our own warnings become a line each, "note: ...". What third parties log, warn of or leave unhandled in their threads is
shown with `--debug` alone.
"""

import codecs
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, cast

from sweep.base.errors import SweepError, SweepWarning
from sweep.base.text import make_visible

LEAST_COLUMNS: Final = 20  # of a terminal that says it has fewer
_PLAIN: Final = {"∞": "inf", "–": "-", "×": "x", "…": "..."}


class Output:
    """Standard output, whose failures say what failed, and before which notes are said on standard error.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken = self.outlasted = False
        self.waiting: list[str] = []  # notes: what is refused before anything else is said is one line, without them

    def write(self, text: str) -> int:
        """Write text, unless that has failed before."""
        self.say_waiting()
        return self._try(lambda: self._stream.write(text)) or 0

    def say_waiting(self) -> None:
        """Say the notes that wait, each once."""
        while self.waiting:
            note(self.waiting.pop(0))

    def flush(self) -> None:
        """Have what was written go out, unless that has failed before."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> Any:
        if self.broken:
            return None
        try:
            return action()
        except BrokenPipeError:  # whoever read it has stopped, as `head` does
            raise
        except OSError as error:
            self.broken = True
            told = f"can't write to standard output: {error.strerror or error}"
            if not self.outlasted:
                raise SweepError(f"{told}; send it elsewhere") from error
            note(f"{told}; nothing more is said there")
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def outlast() -> None:
    """From here on go on where nothing more can be said: what the command makes is not lost with it."""
    if isinstance(sys.stdout, Output):
        sys.stdout.outlasted = True


def withhold() -> None:
    """Drop the notes that wait: a command that ends without success says one line."""
    if isinstance(sys.stdout, Output):
        sys.stdout.waiting.clear()


def note(message: object) -> None:
    """Say one line on standard error, if it can be said."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"note: {make_visible(' '.join(str(message).split()))}\n")


def settle(*, debug: bool) -> None:
    """Prepare this process for a command; there is no way back.

    Args:
        debug: show what third parties say.
    """
    _reopen()
    _settle_environment()
    codecs.register_error("sweep", _plain)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # one of another kind, as a test or a notebook has
            stream.reconfigure(errors="sweep")  # pyright: ignore[reportAttributeAccessIssue]
    if not debug:
        logging.getLogger().addHandler(logging.NullHandler())  # else Python prints what has no handler
        sys.unraisablehook = threading.excepthook = lambda _: None


@contextmanager
def shown(*, debug: bool) -> Iterator[None]:
    """Have failures of standard output say what failed, and warnings of ours shown as a line each.

    Args:
        debug: show warnings of third parties too.
    """
    before, output = sys.stdout, Output(sys.stdout)
    sys.stdout = cast(TextIO, output)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if debug else "ignore")
            warnings.filterwarnings("always", category=SweepWarning)
            warnings.showwarning = _warning_printer(output)
            yield
    finally:
        output.say_waiting()
        with suppress(SweepError, BrokenPipeError):
            output.flush()
        if sys.stdout is output:
            sys.stdout = open(os.devnull, "w") if output.broken else before  # noqa: SIM115  (at exit it fails no more)


def _warning_printer(output: Output) -> Callable[..., None]:
    """Give what shows warnings, each of ours once and before the next output: a store may be opened twice."""
    told: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        if not issubclass(category, SweepWarning):
            with suppress(OSError, ValueError):
                sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
        elif str(message) not in told:
            told.add(str(message))
            output.waiting.append(str(message))

    return show


def _reopen() -> None:
    """Open what is closed of the three streams: files that are opened later must not get their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  (it lasts as long as the process)


def _settle_environment() -> None:
    """Take out settings that can't be followed, and that would fail in a library."""
    for name, least in (("COLUMNS", LEAST_COLUMNS), ("LINES", 1)):
        asked = os.environ.get(name, "")
        if not (asked.isascii() and asked.isdigit() and len(asked) < 6 and int(asked)):
            os.environ.pop(name, None)
        elif int(asked) < least:
            os.environ[name] = str(least)
    os.environ["MPLBACKEND"] = "agg"  # our figures are saved and never shown, whatever backend the user's are shown by


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Write signs that a stream's encoding lacks as plain words, or as their numbers."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in wrong), error.end
