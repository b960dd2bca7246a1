"""What is printed of several workers: how far they are, how fast together, and what each has done."""

import io
import time
from types import SimpleNamespace

import pytest

from sweep.cli import terminal
from sweep.cli.terminal import Terminal, show_progress, show_shares
from sweep.runs.events import Staff, WorkerShare
from sweep.runs.progress import Progress, Tally

PLAN = SimpleNamespace(lanes=range(64), programs=[1])


def progress(stage: str, executed: int, staff: Staff | None, lanes: int = 0) -> Progress:
    tally = Tally(lane_steps_executed=executed, training_seconds=executed / 50)
    return Progress(stage, PLAN, executed, 1000, {3: 0}, tally, staff, lanes)  # type: ignore[arg-type]


def test_progress_of_workers_is_by_the_clock_and_says_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    with show_progress(Terminal(file=out, width=200)) as watch:
        watch(progress("compiling", 0, None))
        clock[0] = 150.0  # starting is no training
        watch(progress("training", 0, Staff(1, 2, 0, ())))
        clock[0] = 155.0
        watch(progress("training", 500, Staff(2, 2, 1, ()), 32))
    lines = out.getvalue().splitlines()
    assert lines[1] == "training   0%, 0 diverged, 0 of 64 lanes, 1 worker of 2"
    # 500 steps in 5 s by the clock, although two programs ran for 10 s together
    assert lines[2].startswith("training  50%, 100 lane-steps/s, ETA ")
    assert lines[2].endswith("0 diverged, 32 of 64 lanes, 2 workers, 1 wave run again")
    assert watch.staff == Staff(2, 2, 1, ())


def test_the_closing_table_has_the_share_of_each_worker() -> None:
    out = io.StringIO()
    shares = (
        WorkerShare(1, "first", "1 x cpu (cpu)", 3, 750, 5.0, 1),
        WorkerShare(2, "second", "1 x cpu (cpu)", 1, 250),
    )
    show_shares(Terminal(file=out, width=120), Staff(2, 2, 1, shares))
    rows = [line.split() for line in out.getvalue().splitlines() if line.strip()[:1].isdigit()]
    assert rows == [
        ["1", "first", "1", "x", "cpu", "(cpu)", "3", "75%", "5.0", "150", "1"],
        ["2", "second", "1", "x", "cpu", "(cpu)", "1", "25%", "0.0", "-", "0"],
    ]


def test_one_process_has_no_table_of_workers() -> None:
    out = io.StringIO()
    show_shares(Terminal(file=out), None)
    assert out.getvalue() == ""
