"""Signals that end a command: obeyed at once, and during training between segments.

A segment is never interrupted, because its input arrays may already have been given away. Everything else may be, since
files are written under a temporary name and then renamed. Code that does not react to signals (a page's metric that
hangs in C, a library that swallows the exception) is ended by a thread, but only in a command: the kernel of a notebook
is left alone.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

PATIENCE: Final = 5.0  # seconds that a command has to obey a signal
DRAWING_PATIENCE: Final = 1.0  # the same while it draws, when there is nothing to save
SAVING_PATIENCE: Final = 60.0  # seconds that it has after it obeyed, to save results on a slow disk


class Terminated(BaseException):
    """A signal other than Ctrl-C came. Like KeyboardInterrupt, no `except Exception` may swallow it.

    Args:
        number: the signal.
    """

    def __init__(self, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__(number.name)
        self.number = number


@dataclass(frozen=True)
class Ending:
    """What one signal means.

    Args:
        number: the signal.
    """

    number: signal.Signals

    @property
    def words(self) -> str:
        """Its name for users."""
        return "Ctrl-C" if self.number == signal.SIGINT else self.number.name

    @property
    def code(self) -> int:
        """The exit code of a command that it ends, as shells give it."""
        return 128 + self.number

    def error(self) -> BaseException:
        """Make the exception that it raises."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else Terminated(self.number)


# The last two are what batch systems such as Slurm send before a preemption or the end of a job's time.
_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
ENDINGS: Final = {number: Ending(number) for number in _NUMBERS}


def ending_of(error: KeyboardInterrupt | Terminated) -> Ending:
    """Return what the signal means that raised an exception."""
    return ENDINGS[error.number if isinstance(error, Terminated) else signal.SIGINT]


class Requests:
    """The signals that have come so far; only the first one counts."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.patience = PATIENCE
        self.last_words: Callable[[], Sequence[str]] = tuple
        self._deferring = False
        self._obeyed = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, and raise its exception unless signals are deferred.

        Only the first signal raises: a second one must not interrupt the cleaning up after the first.
        """
        first = self.ending is None
        self.ending = self.ending or ENDINGS[signal.Signals(number)]
        if first and not self._deferring:
            raise self.ending.error()

    def obey(self) -> None:
        """Raise KeyboardInterrupt or `Terminated` if a signal came."""
        if self.ending is not None:
            self._obeyed = True
            raise self.ending.error()

    @contextmanager
    def defer(self) -> "Iterator[Requests]":
        """Only note signals inside the body; raise on leaving for one that has come."""
        self.obey()
        self._deferring = True
        try:
            yield self
        finally:
            self._deferring = False
        self.obey()

    def leave(self) -> None:
        """Let signals have their default action again, which ends the process at once."""
        for number in ENDINGS:
            if signal.getsignal(number) == self.note:
                signal.signal(number, signal.SIG_DFL)

    def end_process(self, number: int) -> None:
        """Wait for the command to obey a signal, and end the process if it does not."""
        ending, patience = ENDINGS[signal.Signals(number)], self.patience
        time.sleep(patience)
        if self._obeyed:
            time.sleep(SAVING_PATIENCE)
        with suppress(Exception):  # the streams may be closed, and the store may be out of reach
            self._print_last_words(
                f"sweep: stopped by {ending.words}: the process was killed, as it did not end within {patience:g} s"
            )
        os._exit(ending.code)

    def _print_last_words(self, line: str) -> None:
        show_cursor = "\x1b[?25h\n" if os.isatty(1) else ""  # a progress bar has hidden it
        os.write(1, (show_cursor + "".join(f"{word}\n" for word in self.last_words())).encode())
        os.write(2, f"{line}\n".encode())


_command: Requests | None = None  # the signals of the command that this process runs, None outside a command


@contextmanager
def obey_signals() -> Iterator[Requests]:
    """Obey signals during a whole command; a command that does not obey is ended.

    Python calls signal handlers in the main thread, between two instructions of Python code. To notice a signal even
    while the main thread waits for a program that never returns, the interpreter also writes its number to a pipe
    (`signal.set_wakeup_fd`), which a second thread reads.
    """
    global _command
    requests = _command = Requests()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = {number: signal.signal(number, requests.note) for number in filter(_is_ours, ENDINGS)}
    wakeup_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch, name="signals", args=(read_end, requests), daemon=True).start()
    try:
        yield requests
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(write_end)
        _command = None


def _is_ours(number: signal.Signals) -> bool:
    """Tell whether a signal is handled here: under nohup SIGHUP stays ignored.

    Handlers stay that Python has not set and could not put back: those of a program that has Python in it. R has some.
    """
    handler = signal.getsignal(number)
    return handler is not None and (number != signal.SIGHUP or handler != signal.SIG_IGN)


def _watch(read_end: int, requests: Requests) -> None:
    """Wait for the first signal that ends a command, until the other end of the pipe is closed."""
    while numbers := os.read(read_end, 1):
        if numbers[0] in ENDINGS:
            requests.end_process(numbers[0])
    os.close(read_end)


@contextmanager
def defer_signals() -> Iterator[Requests]:
    """Only note signals inside the body.

    Outside a command (in a notebook, a script) the earlier handlers are restored afterwards. Outside the main thread
    Python allows no handlers, so none are set.
    """
    if _command is not None:
        with _command.defer() as requests:
            yield requests
        return
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    with requests.defer():
        before = {number: signal.signal(number, requests.note) for number in filter(_is_ours, ENDINGS)}
        try:
            yield requests
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def shorten_patience() -> Iterator[None]:
    """Give a command `DRAWING_PATIENCE` to obey a signal that comes inside the body."""
    if _command is None:
        yield
        return
    _command.patience = DRAWING_PATIENCE
    try:
        yield
    finally:
        _command.patience = PATIENCE


def set_last_words(words: Callable[[], Sequence[str]]) -> None:
    """Set the lines that a command prints when it is ended: what is stored, and how to go on."""
    if _command is not None:
        _command.last_words = words
