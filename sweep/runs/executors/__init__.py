"""Executors: they run waves somewhere and tell what happens. A wave knows its plan, its number and its store alone.

Any wave may be run anywhere, in any order and more than once: its bits are the same, and it writes its own chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sweep.runs.events import Event


class Executor(Protocol):
    """Something that runs the waves of one plan."""

    def run(self, waves: Sequence[int], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves.

        Args:
            waves: their places in the plan.
            obey: raises what a signal asks for; what has been trained is saved then, and told, before it goes on up.

        Yields:
            What happens, as it does.

        Raises:
            OutOfMemoryError: where a wave does not fit; waves that have ended are stored.
        """
        ...
