"""Executors: they run waves somewhere and tell what happens. A wave knows its plan, its number and its store alone.

Any wave may be run anywhere, in any order and more than once: its bits are the same, and it writes its own chunks.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.engine.plan import Plan
from sweep.results.store import Store
from sweep.runs.events import Event


@dataclass(frozen=True)
class Job:
    """One wave, as plain values that can be sent elsewhere.

    Args:
        page: the page's file, as the store names it; "" for an experiment that is of no file.
        arguments: the options by which the experiment differs from the page's.
        store: the store's folder.
        wave: the wave's place in the plan.
        wave_lanes: lanes in a wave of the plan.
        chunk_lanes: lanes in a chunk of the store.
        memory: the plan's budget in bytes.
    """

    page: str
    arguments: tuple[str, ...]
    store: str
    wave: int
    wave_lanes: int
    chunk_lanes: int
    memory: int


class Executor(Protocol):
    """Something that runs the waves of one plan."""

    def run(self, jobs: Sequence[Job], obey: Callable[[], None]) -> Iterator[Event]:
        """Run some waves.

        Args:
            jobs: the waves.
            obey: raises what a signal asks for; what has been trained is saved then, and told, before it goes on up.

        Yields:
            What happens, as it does.

        Raises:
            OutOfMemoryError: where a wave does not fit; waves that have ended are stored.
        """
        ...


def jobs_of(plan: Plan, waves: Sequence[int], store: Store) -> list[Job]:
    """Describe some waves of a plan.

    Args:
        plan: the plan.
        waves: their places in it.
        store: which was made for the plan.
    """
    attributes = store.attributes()
    arguments = tuple(json.loads(attributes.get("arguments", "[]")))
    page, path = str(attributes.get("page", "")), str(store.path)
    return [Job(page, arguments, path, wave, plan.wave_lanes, plan.chunk_lanes, plan.memory) for wave in waves]
