"""What has happened in a worker and was not yet fetched."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sweep.runs.events import Advanced, Executed
from sweep.runs.executors.on_ray.messages import News


class Mailbox:
    """The news of a worker, which one thread puts and another takes.

    What was taken is kept until the next time: an answer may get lost on its way, and then is asked for again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._news: list[News] = []
        self._taken: list[News] = []
        self._number = 0

    def put(self, news: News) -> None:
        """Add something."""
        with self._changed:
            self._news.append(news)
            self._changed.notify()

    def take(self, seen: int, patience: float) -> tuple[int, list[News]]:
        """Take all news, and wait for some if there are none.

        Args:
            seen: the number of the last answer that has arrived; 0 for none.
            patience: for how many seconds.

        Returns:
            The number of this answer, and the news.
        """
        with self._changed:
            if seen != self._number:  # the last answer was lost
                return self._number, self._taken
            self._changed.wait_for(lambda: self._news, patience)
            self._number, self._taken, self._news = self._number + 1, list(condense(self._news)), []
            return self._number, self._taken


def condense(news: Iterable[News]) -> Iterator[News]:
    """Summarise what a wave has executed and how far it has come, as short waves report it often."""
    executed: Executed | None = None
    advanced: Advanced | None = None
    for each in news:
        if isinstance(each, Executed):
            if executed is not None and executed.wave == each.wave:
                each = replace(
                    each, executed=executed.executed + each.executed, seconds=executed.seconds + each.seconds
                )
            elif executed is not None:
                yield executed
            executed = each
        elif isinstance(each, Advanced):
            advanced = each
        else:
            yield from (one for one in (executed, advanced) if one is not None)
            executed = advanced = None
            yield each
    yield from (one for one in (executed, advanced) if one is not None)
