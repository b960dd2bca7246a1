"""Running the waves of a sweep: which waves the store lacks, what is counted, when it is complete."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sweep.base.errors import REMEDIES, SweepError
from sweep.base.signals import Requests, defer_signals
from sweep.engine.plan import Plan
from sweep.runs.events import Compiled, Ended, Event, Executed, Failure, Saved, Staff
from sweep.runs.executors import Executor
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.failures import WavesFailedError
from sweep.runs.progress import Progress
from sweep.runs.provenance import arithmetic
from sweep.runs.rungs import find_behind, find_unjudged, judge
from sweep.runs.shares import Share, trained_steps
from sweep.runs.wave_writer import stored_position, stored_waves, trained_until


class Coordinator:
    """Runs the waves of its share that a store lacks, and keeps the counts.

    Args:
        share: the waves.
        watch: called between segments.
        executor: runs them; the plan is for its devices.

    Raises:
        SweepError: if it computes other bits than the stored ones.
    """

    def __init__(self, share: Share, watch: Callable[[Progress], None], executor: Executor = LocalExecutor()) -> None:
        self._share, self._plan, self._store, self._watch = share, share.plan, share.store, watch
        self._executor = executor
        self._failures: list[Failure] = []
        self._staff: Staff | None = None
        self._ended: dict[int, int] = {}  # lanes of the wave that was heard of last, by how they have ended
        refuse_other_bits(self._store.attributes(), self._plan, self._store.path)
        self._tally = share.begin()
        mine = share.waves()
        stored = stored_waves(self._plan, self._store) & {*mine}
        self._tally.lane_steps = trained_steps(self._plan, self._store, stored)
        self._lanes = sum(len(self._plan.waves[number].lanes) for number in stored)
        self._missing = [number for number in mine if number not in stored]
        self._done = {wave: _all_steps(self._plan, wave) for wave in stored}
        self._living: dict[int, int] = {}  # steps of the lanes of waves that have been saved and have not ended
        for number in self._missing:
            self._note_waiting(number)
        self._total = sum(_all_steps(self._plan, number) for number in mine)

    def run(self) -> None:
        """Train to the end; after a signal or on a full disk the store can be resumed.

        Raises:
            SweepError: if the store can't be written, for example on a full disk.
        """
        with explain_failure(self._store.path, self._share.again):
            with defer_signals() as requests:
                self._train(requests)
            self._record_failures()
            if self._failures:
                self._note()
                raise WavesFailedError(self._plan, self._store.path, self._failures, self._share.again)
            self._share.end(self._tally)

    def _record_failures(self) -> None:
        """Store which waves were given up, and why; if none was, that those of an earlier run no longer are."""
        found = []
        for failure in self._failures:
            wave = self._plan.waves[failure.wave]
            found.append({"start": wave.start, "stop": wave.start + wave.places, **asdict(failure)})
        if found or "failures" in self._store.attributes():
            self._store.set_attributes(failures=json.dumps(found))

    def _train(self, requests: Requests) -> None:
        """Train from rung to rung, where waves wait for each other, and to the end."""
        if not self._missing:
            return
        for rung in find_unjudged(self._plan, self._store):
            self._run_waves(find_behind(self._plan, self._store, rung), requests)
            self._check_left(find_behind(self._plan, self._store, rung))
            if self._failures:  # lanes of these waves would compete too
                return
            judge(self._plan, self._store, rung)
        self._run_waves(self._missing, requests)
        self._check_left({*self._missing} - stored_waves(self._plan, self._store))

    def _check_left(self, waves: Iterable[int]) -> None:
        """Make sure that waves that were not run to where they should come are those that were given up."""
        assert {*waves} <= {failure.wave for failure in self._failures}, "an executor left out waves"

    def _run_waves(self, waves: Sequence[int], requests: Requests) -> None:
        if not waves:
            return
        self._ended = {}
        self._report("compiling")
        for event in self._executor.run(self._plan, self._store, waves, requests.obey):
            self._process(event)

    def _note_waiting(self, number: int) -> None:
        """Note what an earlier run has trained of a wave that may wait: others may be trained before it."""
        position = stored_position(self._plan, number, self._store)
        if position is not None:
            self._living[number] = trained_until(position)
            lanes = [len(own.status) for own in position.lane_status]
            self._done[number] = sum(int(done) * size for done, size in zip(position.done, lanes, strict=True))

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
            self._living[event.wave] = event.living
            self._note()
        elif isinstance(event, Ended):
            self._living.pop(event.wave, None)
            self._done[event.wave] = _all_steps(self._plan, event.wave)
            self._lanes += len(self._plan.waves[event.wave].lanes)
            tally.lane_steps += event.living
            self._note()
        elif isinstance(event, Failure):
            self._failures.append(event)
        elif isinstance(event, Staff):
            self._staff = event
            self._report("training")
        else:
            self._done[event.wave], self._ended = event.done, event.ended
            self._report("training")

    def _note(self) -> None:
        self._share.note(replace(self._tally, lane_steps=self._tally.lane_steps + sum(self._living.values())))

    def _report(self, stage: str) -> None:
        done = sum(self._done.values())
        self._watch(Progress(stage, self._plan, done, self._total, self._ended, self._tally, self._staff, self._lanes))


@contextmanager
def explain_failure(path: Path, again: str) -> Iterator[None]:
    """Explain that what is stored stays, if a store can't be written within a `with` block.

    Args:
        path: the store.
        again: how the user goes on.

    Raises:
        SweepError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "make it writable")
        raise SweepError(
            f"can't write {path}: {error.strerror or error}; finished lanes are intact: {remedy} and {again}"
        ) from error


def _all_steps(plan: Plan, number: int) -> int:
    """Count the steps of all lanes of a wave."""
    wave = plan.waves[number]
    blocks = plan.programs[wave.program].blocks
    return sum(block.training.steps * len(rows) for block, rows in zip(blocks, wave.rows, strict=True))


def refuse_other_bits(attributes: Mapping[str, Any], plan: Plan, path: Path) -> None:
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
