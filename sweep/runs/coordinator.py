"""Running all waves of a sweep: which waves the store lacks, what is counted, when it is complete."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep.base.errors import REMEDIES, SweepError
from sweep.base.signals import Requests, defer_signals
from sweep.engine.plan import Plan
from sweep.results.store import Store
from sweep.runs.curves import END_DATES
from sweep.runs.events import Compiled, Ended, Event, Executed, Saved
from sweep.runs.executors import make_jobs
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.progress import Progress, Tally
from sweep.runs.provenance import arithmetic
from sweep.runs.wave_writer import stored_steps, stored_waves


class Coordinator:
    """Runs the waves that a store lacks, and keeps the counts of the whole sweep in the store's attributes.

    Args:
        plan: the plan for which the store was made.
        store: the store.
        watch: called between segments.

    Raises:
        SweepError: if this machine computes other bits than the stored ones.
    """

    def __init__(self, plan: Plan, store: Store, watch: Callable[[Progress], None]) -> None:
        self._plan, self._store, self._watch = plan, store, watch
        attributes = store.attributes()
        refuse_other_bits(attributes, plan, store.path)
        store.tidy_checkpoints()
        counted = attributes | store.read_heartbeat()
        self._tally = Tally(**{name: counted[name] for name in asdict(Tally())})
        stored, ends = stored_waves(plan, store), tuple(sorted(END_DATES.keys() & set(store.names())))
        self._tally.lane_steps = sum(stored_steps(plan, wave, store, ends) for wave in stored)
        self._missing = [number for number in range(len(plan.waves)) if number not in stored]
        self._done = {wave: _all_steps(plan, wave) for wave in stored}

    def run(self) -> None:
        """Train to the end; after a signal or on a full disk the store can be resumed.

        Raises:
            SweepError: if the store can't be written, for example on a full disk.
        """
        try:
            with defer_signals() as requests:
                if self._missing:
                    self._train(requests)
            assert len(stored_waves(self._plan, self._store)) == len(self._plan.waves), "an executor left out waves"
            self._store.set_attributes(**asdict(self._tally), complete=True)
            self._store.clear()
        except OSError as error:
            remedy = REMEDIES.get(error.errno or 0, "make it writable")
            raise SweepError(
                f"can't write {self._store.path}: {error.strerror or error}; finished lanes are intact: "
                f"{remedy} and continue with --resume"
            ) from error

    def _train(self, requests: Requests) -> None:
        self._report("compiling", {})
        executor = LocalExecutor(self._plan, self._store)
        for event in executor.run(make_jobs(self._plan, self._missing, self._store), requests.obey):
            self._process(event)

    def _process(self, event: Event) -> None:
        tally = self._tally
        if isinstance(event, Compiled):
            tally.compile_seconds += event.seconds
            self._store.write_heartbeat(asdict(tally))
        elif isinstance(event, Executed):
            tally.lane_steps_executed += event.executed
            tally.training_seconds += event.seconds
            self._store.write_heartbeat(asdict(tally))
        elif isinstance(event, Saved):
            self._store.set_attributes(**asdict(tally) | {"lane_steps": tally.lane_steps + event.living})
        elif isinstance(event, Ended):
            tally.lane_steps += event.living
            self._store.set_attributes(**asdict(tally))
        else:
            self._done[event.wave] = event.done
            self._report("training", event.ended)

    def _report(self, stage: str, ended: dict[int, int]) -> None:
        self._watch(Progress(stage, self._plan, sum(self._done.values()), ended, self._tally))


def _all_steps(plan: Plan, number: int) -> int:
    """Count the steps of all lanes of a wave."""
    wave = plan.waves[number]
    blocks = plan.programs[wave.program].blocks
    return sum(block.training.steps * len(rows) for block, rows in zip(blocks, wave.rows, strict=True))


def refuse_other_bits(attributes: dict[str, Any], plan: Plan, path: Path) -> None:
    """Refuse to mix results of different arithmetic in one store.

    Args:
        attributes: those of the store.
        plan: the plan by which it is filled.
        path: the store.

    Raises:
        SweepError: with what differs.
    """
    stored = {name: json.loads(attributes["arithmetic"]).get(name) for name in arithmetic(plan)}
    for name, now in arithmetic(plan).items():
        if stored[name] != now:
            raise SweepError(
                f"{path} was begun with {name} {stored[name]}, here it is {now}, which may change bits: "
                f"resume it where it was begun, or start again with --fresh"
            )
