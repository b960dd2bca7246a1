"""What the run command shows: the plan, a progress bar (plain lines where there is no terminal), the closing table."""

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
from sweep.base.labels import DIVERGED, STATUS
from sweep.base.text import make_visible

if TYPE_CHECKING:
    import xarray as xr

    from sweep.engine.plan import Plan
    from sweep.runs.progress import Progress as Told

LINE_SECONDS: Final = 5.0  # between plain lines
MOST_ROWS: Final = 24  # of the closing table
COLUMNS: Final = {
    "best_learning_rate": "best rate",
    "final_loss": "loss",
    "halving_epoch": "halving epochs",
    "order_of_convergence": "order",
    "lost": "diverged",
    "cut": "cut",
}


class Terminal(Console):
    """A console that falls silent when whoever read it has gone (as `head` does): training goes on.

    What it prints may be a stranger's text: it is shown as it is, with no markup in it and no emoji, and what a
    terminal would obey is written out, see `sweep.text.make_visible`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Make text `make_visible` before its width is taken, as tables do."""
        return super().render_str(make_visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render everything that is printed, its text made `make_visible`; what moves the cursor is rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(make_visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Say no more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def show_plan(console: Console, plan: "Plan") -> None:
    """Print what a plan would do, and why, as `--plan` does."""
    from sweep.engine.cost import size_words  # knows JAX, and `--help` does not

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
    console.print(
        f"{plan.lane_steps():,} lane-steps; estimate: compile {plan.expected_compile_seconds():.0f} s, "
        f"train {_duration(plan.expected_training_seconds())} (rough figures, see sweep/engine/cost.py)"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@contextmanager
def watching(console: Console) -> "Iterator[Watcher]":
    """Give a watcher for `run_sweep`: a bar on a terminal, a line every few seconds elsewhere."""
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
    """Lane-steps per second since watching began, from what the engine executed in it."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def words(self, told: "Told") -> str:
        now = told.tally.lane_steps_executed, told.tally.training_seconds
        self._first = self._first or now
        steps, seconds = now[0] - self._first[0], now[1] - self._first[1]
        return f"{steps / seconds:,.0f} lane-steps/s" if steps and seconds else ""


class _Bar:
    called = False  # whether anything was trained

    def __init__(self, bar: Progress) -> None:
        self._bar, self._rate = bar, _Rate()
        self._task = bar.add_task("planning", total=None, rate="", ended="")

    def __call__(self, told: "Told") -> None:
        self.called = True
        compiling = told.stage == "compiling"
        self._bar.update(
            self._task,
            description=told.stage,
            total=None if compiling else told.plan.lane_steps(),
            completed=told.lane_steps,
            rate=self._rate.words(told),
            ended=_end_counts(told),
        )


class _Lines:
    called = False

    def __init__(self, console: Console) -> None:
        self._console, self._rate, self._next = console, _Rate(), 0.0

    def __call__(self, told: "Told") -> None:
        self.called = True
        rate, now = self._rate.words(told), time.monotonic()
        total = told.plan.lane_steps()
        if now < self._next and told.lane_steps < total:
            return
        self._next = now + LINE_SECONDS
        if told.stage == "compiling":
            self._console.print(f"compiling {len(told.plan.programs)} program(s)")
            self._next = 0.0
            return
        share = told.lane_steps / total
        left = told.tally.training_seconds / share * (1 - share) if share else float("nan")
        parts = [
            f"training {share:4.0%}",
            rate,
            f"ETA {left:.0f} s" if share else "",
            _end_counts(told),
        ]
        self._console.print(", ".join(part for part in parts if part))


Watcher = _Bar | _Lines


def _end_counts(told: "Told") -> str:
    """Say how many lanes of the wave have ended early, and how; that some might diverge always."""
    shown = [f"{count} {STATUS[status]}" for status, count in told.ended.items() if count or status == DIVERGED]
    return ", ".join(shown)


def show_summary(console: Console, ds: "xr.Dataset", store: Path, drawn: Iterable[Path]) -> None:
    """Print the closing table: best learning rates, halving epochs, order of convergence, where files lie."""
    from sweep import stats  # heavy, and `--help` is not
    from sweep.plots.view import place_words

    summary = stats.summary(ds)
    dims = [str(dim) for dim in summary.sizes if dim != "frequency"]
    rows = list(product(*(range(summary.sizes[dim]) for dim in dims)))
    columns = {name: title for name, title in COLUMNS.items() if name in summary}
    if "order_of_convergence" in summary and summary["order_of_convergence"].isnull().all():  # of one frequency
        del columns["order_of_convergence"]
    cells = []
    for row in _lowest(summary, dims, rows):
        place = dict(zip(dims, row, strict=True))
        here, lanes = summary.isel(place), ds.isel(place)
        names = [place_words(lanes, ds, dim).removeprefix(f"{dim.replace('_', ' ')} ") for dim in dims]
        cells.append((*names, *(_FORMS.get(name, _number)(here[name].values) for name in columns)))
    heads = [*(dim.replace("_", " ") for dim in dims), *columns.values()]
    tables.print_table(console, heads, cells, label_columns=len(dims))
    for line in _column_meanings(summary, ds):
        console.print(line)
    if len(rows) > MOST_ROWS:
        console.print(f"the {MOST_ROWS} of {len(rows)} rows with the lowest loss")
    console.print(
        f"{ds.attrs['lane_steps']:,} lane-steps trained in {ds.attrs['training_seconds']:.1f} s, "
        f"compiled in {ds.attrs['compile_seconds']:.1f} s; {_statuses(ds)}"
    )
    steps, executed = ds.attrs["lane_steps"], ds.attrs["lane_steps_executed"]
    planned = ds.attrs.get("lane_steps_planned", steps)
    if planned > steps:
        console.print(
            f"lanes that ended early needed {planned - steps:,} lane-steps fewer than the {planned:,} "
            f"planned; {executed:,} were executed, those of partly filled tiles and of repeats included"
        )
    console.print(f"store    {store}", soft_wrap=True)
    console.print(f"figures  {_folder(drawn)}", soft_wrap=True)


def show_family(console: Console, ds: "xr.Dataset", store: Path, report: str) -> None:
    """Say how a part that was zoomed into is seen beside the whole, if that is there.

    Args:
        console: where to print.
        ds: the results; `parent` among their attributes says what they are a part of.
        store: where they lie.
        report: the command that shows stores together.
    """
    from sweep.base.errors import SweepError
    from sweep.page.identity import has_fingerprint
    from sweep.results.store import check

    if "parent" not in ds.attrs:
        return
    parent = json.loads(ds.attrs["parent"])
    whole = Path(os.path.normpath(store / parent["path"]))
    try:
        there = has_fingerprint(check(whole), parent["fingerprint"])
    except SweepError:
        there = False
    if there:
        console.print(f"both     {report} {shlex.join([str(whole), str(store)])}", soft_wrap=True)
    else:
        console.print(f"what this is a part of is not in {whole}: it stands alone", soft_wrap=True)


def _lowest(summary: "xr.Dataset", dims: list[str], rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Give all rows of the closing table, of too many those with the lowest loss, lowest first."""
    if len(rows) <= MOST_ROWS:
        return rows
    order = np.argsort(summary["final_loss"].transpose(*dims).values, axis=None, kind="stable")
    return [rows[index] for index in order[:MOST_ROWS]]


def _column_meanings(summary: "xr.Dataset", ds: "xr.Dataset") -> Iterator[str]:
    """Say what the columns mean, as far as they are there."""
    if "best_learning_rate" in summary:
        yield "best rate: lowest median final loss over seeds, diverged ones as infinite; the rest is at this rate"
        if "stop_epoch" in ds:
            yield "... but where lanes ended early the one soonest at the target, or the last to be cut"
    if "halving_epoch" in summary:
        places = summary["frequency"].values
        at = f"at {'frequency' if places.size == 1 else 'frequencies'} {_number(places)}"
        yield f"halving epochs: median spectral error first at most 0.5, {at}; - is never"
    if "order_of_convergence" in summary and summary["order_of_convergence"].notnull().any():
        yield "order: rank correlation of frequency with halving epoch; 1 is low frequencies strictly first"


def _number(values: "np.ndarray") -> str:
    """Write numbers shortly, several side by side, "-" where there is none."""
    return " ".join("-" if np.isnan(value) else f"{value:.3g}" for value in np.atleast_1d(values).astype(float))


def _epochs(values: "np.ndarray") -> str:
    """Write epochs, several side by side, "-" for never."""
    told = np.atleast_1d(values).astype(float)
    return " ".join("-" if np.isinf(each) else f"{each:.6g}" for each in told)


_FORMS: Final = {"halving_epoch": _epochs}  # of columns that are not plain numbers


def _statuses(ds: "xr.Dataset") -> str:
    codes, counts = np.unique(ds.status.values, return_counts=True)
    return ", ".join(f"{count} {STATUS[code]}" for code, count in zip(codes, counts, strict=True))


def _folder(drawn: Iterable[Path]) -> str:
    folders = sorted({str(path.parent) for path in drawn})
    return ", ".join(folders) or "none drawn"
