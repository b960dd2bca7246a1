"""Standard streams of commands, which may be closed, on a full disk, or limited to ASCII; and which warnings are shown.

Each warning of sweep becomes one line, "note: ...". Logs, warnings and unhandled exceptions in threads of other
libraries are shown only with `--debug`.
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

LEAST_COLUMNS: Final = 20  # taken where a terminal reports fewer
_ASCII: Final = {"∞": "inf", "–": "-", "×": "x", "…": "..."}


class Output:
    """Standard output that reports its own failures, and prints pending notes on standard error before each write.

    Args:
        stream: the stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken = self.failures_ignored = False
        self.notes: list[str] = []  # pending: a command that fails before any output prints its error alone

    def write(self, text: str) -> int:
        """Write text, unless writing has failed before."""
        self.print_notes()
        return self._try(lambda: self._stream.write(text)) or 0

    def print_notes(self) -> None:
        """Print the pending notes."""
        while self.notes:
            note(self.notes.pop(0))

    def flush(self) -> None:
        """Flush the stream, unless writing has failed before."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> Any:
        if self.broken:
            return None
        try:
            return action()
        except BrokenPipeError:  # the reader has ended, as `head` does
            raise
        except OSError as error:
            self.broken = True
            failure = f"can't write to standard output: {error.strerror or error}"
            if not self.failures_ignored:
                raise SweepError(f"{failure}; redirect it to another place") from error
            note(f"{failure}; nothing more is printed there")
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def ignore_output_failures() -> None:
    """From now on continue if standard output can't be written, so that a command still writes its files."""
    if isinstance(sys.stdout, Output):
        sys.stdout.failures_ignored = True


def drop_notes() -> None:
    """Drop the pending notes: a command that fails prints only one line."""
    if isinstance(sys.stdout, Output):
        sys.stdout.notes.clear()


def note(message: object) -> None:
    """Print one line on standard error, if that can be written."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"note: {make_visible(' '.join(str(message).split()))}\n")


def prepare_process(*, debug: bool) -> None:
    """Prepare this process for a command; this can't be undone.

    Args:
        debug: show the output of other libraries.
    """
    _open_closed_streams()
    _correct_environment()
    # Else XLA prints what is of no consequence for a program; its errors are raised. A cache that a user chose may
    # hold programs for another processor, of which only XLA's log warns.
    if not debug and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    codecs.register_error("sweep", _to_ascii)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream of another type, as in a test or a notebook
            stream.reconfigure(errors="sweep")  # pyright: ignore[reportAttributeAccessIssue]
    if not debug:
        logging.getLogger().addHandler(logging.NullHandler())  # without a handler Python prints to standard error
        sys.unraisablehook = threading.excepthook = lambda _: None


@contextmanager
def show_warnings(*, debug: bool) -> Iterator[None]:
    """Report failures of standard output, and show each warning of sweep as one line.

    Args:
        debug: also show warnings of other libraries.
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
        output.print_notes()
        with suppress(SweepError, BrokenPipeError):
            output.flush()
        if sys.stdout is output:
            sys.stdout = open(os.devnull, "w") if output.broken else before  # noqa: SIM115  (for exit)


def _warning_printer(output: Output) -> Callable[..., None]:
    """Return a function that shows warnings; those of sweep are shown once, before the next output."""
    printed: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        if not issubclass(category, SweepWarning):
            with suppress(OSError, ValueError):
                sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
        elif str(message) not in printed:
            printed.add(str(message))
            output.notes.append(str(message))

    return show


def _open_closed_streams() -> None:
    """Open those of the three streams that are closed, since files opened later must not get their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  (it stays open as long as the process)


def _correct_environment() -> None:
    """Remove or correct environment variables with invalid values, which would fail in a library."""
    for name, least in (("COLUMNS", LEAST_COLUMNS), ("LINES", 1)):
        value = os.environ.get(name, "")
        if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value)):
            os.environ.pop(name, None)
        elif int(value) < least:
            os.environ[name] = str(least)
    os.environ["MPLBACKEND"] = "agg"  # figures are only saved, so a backend for windows is not needed


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream's encoding lacks by ASCII text, or by their escapes."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in wrong), error.end
