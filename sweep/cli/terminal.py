"""What `sweep.run` prints: the plan, a progress bar (plain lines where there is no terminal), the summary table."""

import json
import os
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from sweep.base import tables
from sweep.base.labels import DIVERGED, STATUS, words
from sweep.base.text import make_visible

if TYPE_CHECKING:
    import xarray as xr

    from sweep.engine.plan import Plan
    from sweep.runs.events import Staff
    from sweep.runs.progress import Progress as SweepProgress

LINE_SECONDS: Final = 5.0  # between plain lines
MOST_ROWS: Final = 24  # of the summary table
COLUMNS: Final = {
    "best_learning_rate": "best rate",
    "final_validation_loss": "validation loss",
    "final_loss": "loss",
    "halving_epoch": "halving epochs",
    "order_of_convergence": "order",
    "lost": "diverged",
    "cut": "cut",
}


class Terminal(Console):
    """A console that becomes silent when its reader ends (as `head` does), so that training continues.

    Text may come from an untrusted source. So it is printed without interpreting markup and emoji codes, and with
    control characters escaped (`base.text.make_visible`).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape control characters before the width of a text is measured, as tables do."""
        return super().render_str(make_visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Escape control characters in all printed text; the segments that move the cursor come from rich itself."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(make_visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Print no more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def show_plan(console: Console, plan: "Plan", stored_steps: int = 0) -> None:
    """Print what a plan would do, and why (`--plan`).

    Args:
        console: where.
        plan: the plan.
        stored_steps: lane-steps of it that are stored already, in a store that grows.
    """
    from sweep.engine.cost import size_words  # imports JAX, which `--help` does not need
    from sweep.engine.estimate import estimate
    from sweep.engine.keeping import explain

    experiment = plan.experiment
    console.print(Text.assemble((experiment.name, "bold"), f": {experiment.question}"))
    axes = " x ".join(f"{name} {size}" for name, size in plan.lanes.dimensions) or "no axes"
    console.print(f"{len(plan.lanes)} lanes ({axes}), {experiment.epochs} epochs, {len(plan.epochs)} records")
    blocks = []
    for number, (block, members) in enumerate(plan.blocks()):
        sizes = (len(members), block.tile, block.tiles * plan.devices.count, block.training.padded)
        blocks.append((str(number), block.training.words(), *map(str, sizes)))
    heads = ("block", "structure", "lanes", "tile", "tiles in a wave", "padded")
    tables.print_table(console, heads, blocks, label_columns=2)
    for reason in plan.reasons:
        console.print(f"- {reason}")
    platform = plan.devices.platform
    console.print(
        f"- tile sizes: as many lanes, a power of two, as keep their arrays in cache; from the Shape and device kind "
        f"{platform!r} alone, so that results are bitwise repeatable; a tile costs the same whether it is full or not"
    )
    console.print(
        f"{len(plan.programs)} program(s) of {len(blocks)} block(s), {len(plan.waves)} wave(s) "
        f"on {plan.devices.count} {platform} device(s); memory {size_words(plan.wave_bytes)} "
        f"of {size_words(plan.memory)}"
    )
    console.print(explain(experiment.record.keep, plan.keep, plan.networks))
    expected = estimate(plan)
    guesses = f"guesses, like the sizes of tiles and waves: no {platform} was measured yet"
    source = "rates of two cores of a server" if expected.is_measured else guesses
    stored = f", of which {stored_steps:,} are stored and stay as they are" if stored_steps else ""
    training = expected.training * (1 - stored_steps / plan.lane_steps())
    console.print(
        f"{plan.lane_steps():,} lane-steps{stored}; estimate: compile {expected.compiling:.0f} s unless kept, "
        f"train {_duration(training)} ({source})"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@contextmanager
def show_progress(console: Console) -> "Iterator[Watcher]":
    """Yield a callback for `run_sweep` that shows progress: a bar on a terminal, elsewhere a line every few seconds."""
    if console.is_terminal:
        with _bar(console) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(console)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[ended]}", markup=False),
        console=console,
    )


class _Rate:
    """Lane-steps per second since training began: while the program runs, or with several workers by the clock."""

    def __init__(self) -> None:
        self._first, self._training = (0, 0.0, 0.0), False

    def words(self, progress: "SweepProgress") -> str:
        now = progress.tally.lane_steps_executed, progress.tally.training_seconds, time.monotonic()
        if progress.stage == "compiling" or not self._training:
            self._first, self._training = now, progress.stage == "training"
        steps, training, clock = (one - other for one, other in zip(now, self._first, strict=True))
        seconds = clock if progress.staff else training
        return f"{steps / seconds:,.0f} lane-steps/s" if steps and seconds else ""


class _Bar:
    called = False  # whether anything was trained
    staff: "Staff | None" = None  # the workers, as they were last

    def __init__(self, bar: Progress) -> None:
        self._bar, self._rate = bar, _Rate()
        self._task = bar.add_task("planning", total=None, rate="", ended="")

    def __call__(self, progress: "SweepProgress") -> None:
        self.called = True
        compiling = progress.stage == "compiling"
        self._bar.update(
            self._task,
            description=progress.stage,
            total=None if compiling else progress.total,
            completed=progress.lane_steps,
            rate=self._rate.words(progress),
            ended=", ".join(filter(None, (_end_counts(progress), _staff(progress)))),
        )
        self.staff = progress.staff or self.staff


class _Lines:
    called = False
    staff: "Staff | None" = None

    def __init__(self, console: Console) -> None:
        self._console, self._rate, self._next = console, _Rate(), 0.0

    def __call__(self, progress: "SweepProgress") -> None:
        self.called = True
        self.staff = progress.staff or self.staff
        rate, now = self._rate.words(progress), time.monotonic()
        total = progress.total
        if now < self._next and progress.lane_steps < total:
            return
        self._next = now + LINE_SECONDS
        if progress.stage == "compiling":
            stored = f"; {progress.lane_steps / total:.0%} is stored already" if progress.lane_steps else ""
            self._console.print(f"compiling {len(progress.plan.programs)} program(s){stored}")
            self._next = 0.0
            return
        share = progress.lane_steps / total
        spent = progress.tally.training_seconds / (progress.staff.alive or 1 if progress.staff else 1)
        left = spent / share * (1 - share) if share else float("nan")
        parts = [
            f"training {share:4.0%}",
            rate,
            f"ETA {left:.0f} s" if share else "",
            _end_counts(progress),
            _staff(progress),
        ]
        self._console.print(", ".join(part for part in parts if part))


Watcher = _Bar | _Lines


def _end_counts(progress: "SweepProgress") -> str:
    """Return how many lanes of the wave have ended early, by status; the number of diverged lanes is always given."""
    shown = [f"{count} {STATUS[status]}" for status, count in progress.ended.items() if count or status == DIVERGED]
    return ", ".join(shown)


def _staff(progress: "SweepProgress") -> str:
    """Return how many lanes have ended, how many workers there are, and how often a wave had to be run again."""
    staff = progress.staff
    if staff is None:
        return ""
    workers = f"{staff.alive} worker{'s' * (staff.alive != 1)}"
    wanted = f" of {staff.wanted}" if staff.alive != staff.wanted else ""
    again = f", {staff.retries} wave{'s' * (staff.retries != 1)} run again" if staff.retries else ""
    lanes = f"{progress.lanes:,} of {len(progress.plan.lanes):,} lanes"
    return f"{lanes}, {workers}{wanted}{again}"


def show_shares(console: Console, staff: "Staff | None") -> None:
    """Print what each worker has done, if there were several processes."""
    if staff is None or not staff.shares:
        return
    whole = sum(share.executed for share in staff.shares) or 1
    cells = []
    for share in staff.shares:
        rate = f"{share.executed / share.seconds:,.0f}" if share.seconds else "-"
        counts = (str(share.waves), f"{share.executed / whole:.0%}", f"{share.seconds:.1f}", rate, str(share.lost))
        cells.append((str(share.number), share.host, share.devices, *counts))
    heads = ("worker", "machine", "devices", "waves", "of lane-steps", "training (s)", "lane-steps/s", "lost")
    tables.print_table(console, heads, cells, label_columns=3)


def show_summary(console: Console, ds: "xr.Dataset", store: Path, drawn: Iterable[Path]) -> None:
    """Print the summary table: best learning rates, halving epochs, order of convergence; and where the files are."""
    from sweep import stats  # slow to import, and not needed for `--help`
    from sweep.plots.drawing.view import place_words
    from sweep.results import schema

    summary, judged = stats.summary(ds), schema.deciding(ds)
    dims = [str(dim) for dim in summary.sizes if dim != "frequency"]
    rows = list(product(*(range(summary.sizes[dim]) for dim in dims)))
    columns = {name: title for name, title in COLUMNS.items() if name in summary}
    if "order_of_convergence" in summary and summary["order_of_convergence"].isnull().all():  # one frequency
        del columns["order_of_convergence"]
    cells = []
    for row in _best_rows(summary, judged, dims, rows):
        place = dict(zip(dims, row, strict=True))
        here, lanes = summary.isel(place), ds.isel(place)
        names = [place_words(lanes, ds, dim).removeprefix(f"{dim.replace('_', ' ')} ") for dim in dims]
        cells.append((*names, *(_FORMS.get(name, _number)(here[name].values) for name in columns)))
    heads = [*(dim.replace("_", " ") for dim in dims), *columns.values()]
    tables.print_table(console, heads, cells, label_columns=len(dims))
    for line in _column_meanings(summary, ds):
        console.print(line)
    if len(rows) > MOST_ROWS:
        console.print(f"the {MOST_ROWS} of {len(rows)} rows with the lowest {words(judged)}")
    console.print(
        f"{ds.attrs['lane_steps']:,} lane-steps in this store, trained in {ds.attrs['training_seconds']:.1f} s, "
        f"compiled in {ds.attrs['compile_seconds']:.1f} s; {_statuses(ds)}"
    )
    steps, executed = ds.attrs["lane_steps"], ds.attrs["lane_steps_executed"]
    planned = ds.attrs.get("lane_steps_planned", steps)
    if planned > steps:
        console.print(
            f"lanes that ended early needed {planned - steps:,} lane-steps fewer than the {planned:,} "
            f"planned; {executed:,} were executed, including those of padding lanes and of repeated segments"
        )
    console.print(f"store    {store}", soft_wrap=True)
    console.print(f"figures  {_folder(drawn)}", soft_wrap=True)


def show_parent(console: Console, ds: "xr.Dataset", store: Path, report: str) -> None:
    """After a zoom, print the command that reports its store together with the parent's, if that exists.

    Args:
        console: where to print.
        ds: the results; their attribute `parent` names the experiment that was zoomed into.
        store: their store.
        report: the command that writes a report of several stores.
    """
    from sweep.base.errors import SweepError
    from sweep.page.identity import has_fingerprint
    from sweep.results.store import check

    if "parent" not in ds.attrs:
        return
    parent = json.loads(ds.attrs["parent"])
    other = Path(os.path.normpath(store / parent["path"]))
    try:
        exists = has_fingerprint(check(other), parent["fingerprint"])
    except SweepError:
        exists = False
    if exists:
        console.print(f"both     {report} {shlex.join([str(other), str(store)])}", soft_wrap=True)
    else:
        console.print(f"the experiment that this is a part of is not stored in {other}", soft_wrap=True)


def _best_rows(
    summary: "xr.Dataset", judged: str, dims: list[str], rows: list[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return the rows of the summary table; if there are too many, those whose final `judged` is lowest, first."""
    if len(rows) <= MOST_ROWS:
        return rows
    order = np.argsort(summary[f"final_{judged}"].transpose(*dims).values, axis=None, kind="stable")
    return [rows[index] for index in order[:MOST_ROWS]]


def _column_meanings(summary: "xr.Dataset", ds: "xr.Dataset") -> Iterator[str]:
    """Explain the columns of the summary table."""
    from sweep import stats
    from sweep.results import schema

    if "best_learning_rate" in summary:
        what = words(schema.deciding(ds))
        yield f"best rate: lowest median final {what} over seeds, diverged as infinite; other columns are at this rate"
        if stats.ranks_ends(ds):
            yield "... but where lanes ended early, the rate that reached the target first, or was cut last"
    if "halving_epoch" in summary:
        places = summary["frequency"].values
        at = f"at {'frequency' if places.size == 1 else 'frequencies'} {_number(places)}"
        yield f"halving epochs: median spectral error first at most 0.5, {at}; - is never"
    if "order_of_convergence" in summary and summary["order_of_convergence"].notnull().any():
        yield "order: rank correlation of frequency with halving epoch; 1 is low frequencies strictly first"


def _number(values: "np.ndarray") -> str:
    """Write numbers with three digits, separated by spaces, and "-" for NaN."""
    return " ".join("-" if np.isnan(value) else f"{value:.3g}" for value in np.atleast_1d(values).astype(float))


def _epochs(values: "np.ndarray") -> str:
    """Write epochs separated by spaces, and "-" for never."""
    epochs = np.atleast_1d(values).astype(float)
    return " ".join("-" if np.isinf(each) else f"{each:.6g}" for each in epochs)


_FORMS: Final = {"halving_epoch": _epochs}  # of columns that are not written as plain numbers


def _statuses(ds: "xr.Dataset") -> str:
    codes, counts = np.unique(ds.status.values, return_counts=True)
    return ", ".join(f"{count} {STATUS[code]}" for code, count in zip(codes, counts, strict=True))


def _folder(drawn: Iterable[Path]) -> str:
    folders = sorted({str(path.parent) for path in drawn})
    return ", ".join(folders) or "none drawn"
