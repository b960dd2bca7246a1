"""The option `--lane`: finds a lane in a store, trains it again, and prints how far the two are apart."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console

from sweep.base import tables
from sweep.base.errors import SweepError
from sweep.base.labels import CUT, STATUS
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.results.checks.attributes import check_provenance
from sweep.results.dataset import LANE
from sweep.results.distance import Distance, distances, has_same_end, last_epoch
from sweep.results.lane_choice import read_lane
from sweep.results.store import check

if TYPE_CHECKING:
    import xarray as xr

    from sweep.runs.progress import Progress
    from sweep.runs.replay import Replay

COLUMNS: Final = ("quantity", "compared", "difference", "relative", "from epoch", "stored", "replayed")


def replay_lane(
    console: Console,
    experiment: Experiment,
    path: Path,
    wanted: Mapping[str, str],
    *,
    memory: int | None,
    watch: Callable[["Progress"], None],
) -> bool:
    """Train a lane of a store again, and print how far it is from what is stored; the store is only read.

    Args:
        console: where to print.
        experiment: the experiment that the store should hold.
        path: the store.
        wanted: values of knobs, by name, that identify one lane.
        memory: budget in bytes; None is half of what is free.
        watch: called between segments.

    Returns:
        Whether the result is as expected: no distance, or a different arithmetic that may explain it.

    Raises:
        SweepError: for a store that is missing, damaged or of another experiment; for values that no lane or several
            lanes have; and for a lane that has not run yet.
    """
    attributes = check(path)
    check_provenance(path, attributes)
    if fields := differing_fields(experiment, attributes):
        raise SweepError(f"{path} holds another experiment, it differs in {fields}: name the page's store with --out")
    stored, knobs = read_lane(path, wanted)
    lane, described = int(stored[LANE]), ", ".join(f"{name} {value}" for name, value in knobs.items())
    console.print(f"{path}, lane {lane}: {described or 'the only one'}", soft_wrap=True)
    from sweep.runs.replay import replay  # imports JAX, which the checks above do not need

    begin = time.perf_counter()
    replayed = replay(experiment, attributes, lane, memory=memory, watch=watch)
    seconds = time.perf_counter() - begin
    return _show(console, stored, replayed, json.loads(attributes["arithmetic"]), seconds)


def _show(
    console: Console, stored: "xr.Dataset", replayed: "Replay", arithmetic: dict[str, Any], seconds: float
) -> bool:
    """Print the comparison; tell whether the result is as expected."""
    training, found = replayed.block.training, distances(stored, replayed.curves)
    ended = has_same_end(stored, replayed.curves)
    same = ended and all(each.first_difference is None for each in found)
    console.print(
        f"{training.words()}, {training.steps} steps in {training.precision}; trained again in {seconds:.1f} s, "
        f"alone in a tile of {replayed.block.tile}{', in a block of larger networks' if training.padded else ''}",
        soft_wrap=True,
    )
    console.print(_arithmetic_words(arithmetic, replayed.foreign), soft_wrap=True)
    tables.print_table(console, COLUMNS, _rows(found))
    for line in _notes(found):
        console.print(line)
    now = _end_words(replayed.curves)
    console.print(
        f"ended: {now}, as stored" if ended and not _is_cut(stored) else _two_ends(stored, now), soft_wrap=True
    )
    console.print(_verdict(found, same, bool(replayed.foreign)), soft_wrap=True)
    return same or bool(replayed.foreign)


def _arithmetic_words(arithmetic: dict[str, Any], foreign: dict[str, tuple[Any, Any]]) -> str:
    if foreign:
        differences = "; ".join(f"{name} {now}, stored {then}" for name, (then, now) in foreign.items())
        return f"arithmetic: differs in {differences}. The distance need not be 0."
    return "arithmetic: as stored, " + ", ".join(
        f"{k} {v}" for k, v in arithmetic.items() if k != "tiles" and v is not None
    )


def _rows(found: Sequence[Distance]) -> list[tuple[str, ...]]:
    rows = []
    for each in sorted(found, key=lambda each: (each.entries, each.name)):
        parts = "-" if each.first_difference is None else f"{each.first_difference:.6g}"
        numbers = (f"{each.absolute:.3g}", f"{each.relative:.3g}", parts)
        size = f"{each.records} x {each.entries}" if each.entries > 1 else str(each.records)
        rows.append((each.name, size, *numbers, f"{each.stored:.5g}", f"{each.replayed:.5g}"))
    return rows


def _notes(found: Sequence[Distance]) -> Iterator[str]:
    """Explain the columns."""
    yield "compared: records (x entries); difference, relative: the largest; from epoch: the first that differs"
    yield "stored, replayed: the last value compared, of several entries their mean"
    if any(np.isinf(each.relative) for each in found):
        yield "inf: one of the two values is missing, or the stored one is 0"


def _is_cut(stored: "xr.Dataset") -> bool:
    return int(stored.status) == CUT


def _two_ends(stored: "xr.Dataset", now: str) -> str:
    if _is_cut(stored):
        return (
            f"ended: cut at epoch {last_epoch(stored):g} in competition with lanes that a replay does not have; "
            f"compared until then, replayed to the end: {now}"
        )
    return f"ended: {now}, stored {_end_words(stored)}"


def _end_words(curves: "xr.Dataset") -> str:
    """Return how a lane ended, and when if it was early, in words."""
    dates = [float(curves[name]) for name in ("first_bad_epoch", "stop_epoch") if name in curves]
    early = [f" at epoch {date:g}" for date in dates if not np.isnan(date)]
    return STATUS[int(curves.status)] + "".join(early)


def _verdict(found: Sequence[Distance], same: bool, foreign: bool) -> str:
    if same:
        return f"distance 0: all stored numbers of {len(found)} quantities are equal to the bit"
    parts = [each.first_difference for each in found if each.first_difference is not None]
    why = "which the different arithmetic may explain" if foreign else "although the arithmetic is as stored"
    if not parts:
        return f"distance 0 in all {len(found)} quantities, but the lane ended differently, {why}"
    worst = max(found, key=lambda each: each.relative)
    return (
        f"distance {worst.relative:.3g} relative, largest in {worst.name}; "
        f"the first difference is at epoch {min(parts):.6g}, {why}"
    )
