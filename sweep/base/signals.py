"""Signals that end a command, obeyed in one place: at once, and in training between segments.

A segment is never broken off, because arrays are half handed over in it. Everything else is: what is written is written
beside its place and moved. Code that hears nothing (a page's metric that hangs in C, an exception that a library
swallowed) is ended all the same by a thread, but only in a command: a notebook's kernel is not ours to end.
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

PATIENCE: Final = 5.0  # seconds that a command has to obey
DRAWING_PATIENCE: Final = 1.0  # ... while it draws, which leaves nothing that is worth a wait
SAVING_PATIENCE: Final = 60.0  # ... once it has obeyed, to save what there is on a slow disk


class Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt, no `except Exception` may swallow it."""


class HungUp(Terminated):
    """SIGHUP came: the terminal has gone."""


@dataclass(frozen=True)
class Ending:
    """What one signal means.

    Args:
        words: what the user did, or who sent it.
        error: what is raised.
        code: exit code of a command that it ended.
    """

    words: str
    error: type[BaseException]
    code: int


ENDINGS: Final = {
    signal.SIGINT: Ending("Ctrl-C", KeyboardInterrupt, 130),
    signal.SIGTERM: Ending("SIGTERM", Terminated, 143),
    signal.SIGHUP: Ending("SIGHUP", HungUp, 129),
}


class Requests:
    """What signals have asked for so far; the first one counts."""

    def __init__(self) -> None:
        self.asked: Ending | None = None
        self.patience = PATIENCE
        self.last_words: Callable[[], Sequence[str]] = tuple
        self._deferring = False
        self._obeyed = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, and raise its exception unless that has been deferred.

        It is raised once: whoever is impatient must not break off what tidies up after the first.
        """
        first = self.asked is None
        self.asked = self.asked or ENDINGS[signal.Signals(number)]
        if first and not self._deferring:
            raise self.asked.error

    def obey(self) -> None:
        """Raise KeyboardInterrupt or `Terminated` if a signal came."""
        if self.asked is not None:
            self._obeyed = True
            raise self.asked.error

    @contextmanager
    def deferring(self) -> "Iterator[Requests]":
        """Only note signals while inside, and obey on leaving if nobody has."""
        self.obey()
        self._deferring = True
        try:
            yield self
        finally:
            self._deferring = False
        self.obey()

    def end_process(self, number: int) -> None:
        """Wait for a signal to be obeyed, and end the process if it is not."""
        ending, patience = ENDINGS[signal.Signals(number)], self.patience
        time.sleep(patience)
        if self._obeyed:
            time.sleep(SAVING_PATIENCE)
        with suppress(Exception):  # nobody may read any more, and what there is may be out of reach
            self._say(f"sweep: stopped by {ending.words}: broken off, as it did not end within {patience:g} s")
        os._exit(ending.code)

    def _say(self, line: str) -> None:
        shown = "\x1b[?25h\n" if os.isatty(1) else ""  # a progress bar has hidden the cursor
        os.write(1, (shown + "".join(f"{word}\n" for word in self.last_words())).encode())
        os.write(2, f"{line}\n".encode())


_command: Requests | None = None  # those of the command that this process is, if it is one


@contextmanager
def commanded() -> Iterator[Requests]:
    """Obey signals for a command, from its first line to its last; one that does not obey is ended.

    Python runs handlers in the main thread between two of its own instructions, so a thread that Python's part in C
    writes to is told too: it hears a signal even while the main thread waits for a program that never returns.
    """
    global _command
    requests = _command = Requests()
    hears, told = os.pipe()
    os.set_blocking(told, False)
    ours = [number for number in ENDINGS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, requests.note) for number in ours}  # under nohup SIGHUP stays ignored
    awoken = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_watch, name="signals", args=(hears, requests), daemon=True).start()
    try:
        yield requests
    finally:
        signal.set_wakeup_fd(awoken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told)
        _command = None


def _watch(hears: int, requests: Requests) -> None:
    """Wait for the first signal that ends a command, until nobody can tell of one any more."""
    while numbers := os.read(hears, 1):
        if numbers[0] in ENDINGS:
            requests.end_process(numbers[0])
    os.close(hears)


@contextmanager
def deferred() -> Iterator[Requests]:
    """Only note signals while inside.

    Where no command is run (a notebook, a script) the handlers that were there come back afterwards; outside the main
    thread Python allows no handlers, so none are set.
    """
    if _command is not None:
        with _command.deferring() as requests:
            yield requests
        return
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    with requests.deferring():
        before = {number: signal.signal(number, requests.note) for number in ENDINGS}
        try:
            yield requests
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def drawing() -> Iterator[None]:
    """Have a command that draws inside end within a second."""
    if _command is None:
        yield
        return
    _command.patience = DRAWING_PATIENCE
    try:
        yield
    finally:
        _command.patience = PATIENCE


def told_when_ended(words: Callable[[], Sequence[str]]) -> None:
    """Say what a command that has to be ended prints before it: what there is, and how to go on."""
    if _command is not None:
        _command.last_words = words
