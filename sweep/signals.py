"""Ctrl-C and SIGTERM, obeyed between segments: never in the middle of a step, when arrays are half handed over."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt, no `except Exception` may swallow it."""


class Requests:
    """What signals have asked for so far."""

    def __init__(self) -> None:
        self._asked: BaseException | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal. It never raises: a segment that was broken off would leave no state to save."""
        self._asked = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()

    def obey(self) -> None:
        """Raise KeyboardInterrupt or `Terminated` if a signal came."""
        if self._asked is not None:
            raise self._asked


@contextmanager
def deferred() -> Iterator[Requests]:
    """Collect SIGINT and SIGTERM while inside; outside the main thread Python allows no handlers, so none are set."""
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    before = {number: signal.signal(number, requests.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
