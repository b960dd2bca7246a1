"""What has happened in a worker and was not yet fetched."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sweep.runs.events import Advanced, Executed
from sweep.runs.executors.on_ray.messages import News


class Mailbox:
    """The news of a worker, which one thread puts and another takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._news: list[News] = []

    def put(self, news: News) -> None:
        """Add something."""
        with self._changed:
            self._news.append(news)
            self._changed.notify()

    def take(self, patience: float) -> list[News]:
        """Take all news, and wait for some if there are none.

        Args:
            patience: for how many seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._news, patience)
            taken, self._news = list(condense(self._news)), []
            return taken


def condense(news: Iterable[News]) -> Iterator[News]:
    """Summarise what a wave has executed and how far it has come, as short waves report it often."""
    held: dict[type, Executed | Advanced] = {}
    for each in news:
        if not isinstance(each, Executed | Advanced) or any(one.wave != each.wave for one in held.values()):
            yield from held.values()
            held = {}
        if isinstance(each, Executed) and (before := held.get(Executed)) is not None:
            assert isinstance(before, Executed)
            each = replace(each, executed=before.executed + each.executed, seconds=before.seconds + each.seconds)
        if isinstance(each, Executed | Advanced):
            held[type(each)] = each
        else:
            yield each
    yield from held.values()
