"""Every signal that ends a command, at every stage of every command, and code that does not react to them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import tiny

from sweep import load, open_results, run_sweep
from sweep.axes import grid
from sweep.base import signals
from sweep.base.labels import FINISHED
from sweep.cli.command import run_guarded
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep

PAGE = """
from sweep import MLP, Experiment, Figure, Record, SumOfSines, grid, log_spaced
{metric}
experiment = Experiment(
    question="Does it stop?", task=SumOfSines(frequencies=(1,), points=16), model=MLP(width=4, depth=1),
    axes=grid(seed=range(3), learning_rate=(1e-3, 1e-2)), epochs=8, figures=(Figure("loss_curves"),),
    record=Record(metrics=("loss",), own={own}, at=log_spaced(3), snapshots=0),
)
"""
SENDING = """
import os, signal, sys, runpy
from importlib import import_module
where, number, module, *sys.argv[1:] = sys.argv[1:]
def add_signal(function, after):
    def call(*args, **options):
        result = function(*args, **options) if after else None
        os.kill(os.getpid(), int(number))
        return result if after else function(*args, **options)
    return call
after = where.startswith("after ")
module_name, _, name = where.removeprefix("after ").partition(":")
*classes, name = name.split(".")
owner = import_module(module_name)
for class_name in classes:
    owner = getattr(owner, class_name)
setattr(owner, name, add_signal(getattr(owner, name), after))
runpy.run_module(module, run_name="__main__")
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138, signal.SIGUSR2: 140}
WORDS = {number: "Ctrl-C" if number == signal.SIGINT else number.name for number in CODES}


def page(folder: Path, metric: str = "", own: str = "()") -> Path:
    path = folder / "page.py"
    path.write_text(PAGE.format(metric=metric, own=own))
    return path


def interrupt(
    folder: Path, where: str, number: int, module: str, *args: str, timeout: float = 120
) -> tuple[int, str, str]:
    """Run a command that gets a signal at a call of a function; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SENDING, where, str(int(number)), f"sweep.{module}", *args],
        capture_output=True, text=True, check=False, cwd=folder, timeout=timeout,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "200"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


# The last ones come after the last segment: while figures are drawn, and while the summary is printed.
STAGES = {
    "sweep.runs.executors.local:plan_sweep": signal.SIGHUP,
    "sweep.runs.executors.local:prepare": signal.SIGTERM,
    "sweep.runs.coordinator:Coordinator._process": signal.SIGUSR1,
    "after sweep.runs.curves:Curves.close": signal.SIGUSR2,
    "after sweep.runs.coordinator:Coordinator._train": signal.SIGTERM,
    "matplotlib.figure:Figure.savefig": signal.SIGINT,
    "sweep.cli.terminal:show_summary": signal.SIGUSR2,
    "after sweep.cli.terminal:show_parent": signal.SIGTERM,
}


QUICK = ("sweep.runs.coordinator:Coordinator._process", "matplotlib.figure:Figure.savefig")


@pytest.mark.parametrize(
    "where", [where if where in QUICK else pytest.param(where, marks=pytest.mark.slow) for where in STAGES]
)
def test_a_run_stops_at_every_stage_says_how_to_go_on_and_can_be_resumed(where: str, tmp_path: Path) -> None:
    number, path = STAGES[where], page(tmp_path)
    code, printed, errors = interrupt(tmp_path, where, number, "run", str(path), "--out", "store")
    assert code == CODES[number], errors
    assert errors == f"sweep: stopped by {WORDS[number]}\n"
    assert printed.splitlines()[-2].startswith("stopped; ")
    assert printed.splitlines()[-1].endswith(f"-m sweep.run {path} --out store --resume")
    complete = run_sweep(load(path), out=tmp_path / "store", resume=True)
    assert (complete.status == FINISHED).all()


@pytest.fixture(autouse=True)
def _terminal() -> Iterator[None]:
    """Let SIGHUP have its default action, even if these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store in which nothing has run yet: it can be read all the same."""
    path = tmp_path_factory.mktemp("signals") / "store"
    create(plan_sweep(tiny(axes=grid(seed=range(3), learning_rate=(1e-3, 1e-2)))), path)
    return path


@pytest.mark.parametrize(
    ("module", "args", "where", "number"),
    [
        ("plot", ("{store}", "--out", "made"), "matplotlib.figure:Figure.savefig", signal.SIGINT),
        ("report", ("{store}", "--out", "made"), "sweep.report.document:report", signal.SIGTERM),
        pytest.param(
            "compare",
            ("{store}", "{store}", "--out", "made", "--threshold", "1"),
            "sweep.plots.gallery:save",
            signal.SIGHUP,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "export",
            ("{store}", "--to", "csv", "--out", "made"),
            "after sweep.results.dataset:open_results",
            signal.SIGUSR1,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "claims", ("{store}",), "sweep.results.dataset:open_results", signal.SIGINT, marks=pytest.mark.slow
        ),
    ],
)
def test_every_command_stops_with_one_line_and_leaves_no_partial_files(module, args, where, number, store, tmp_path):
    code, _, errors = interrupt(tmp_path, where, number, module, *(arg.format(store=store) for arg in args))
    assert code == CODES[number], errors
    assert errors == f"sweep: stopped by {WORDS[number]}\n"
    left = [entry.name for entry in tmp_path.rglob("*") if entry.is_file()]
    assert not left


SLEEPING = """
import os, signal, time, jax, numpy as np
def asleep(loss):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1e6)
def metric(moment):
    return jax.pure_callback(asleep, jax.ShapeDtypeStruct((), np.float32), moment.loss, vmap_method="sequential")
"""
TRACING = """
import os, signal, threading, time
traced = 0
def metric(moment):
    global traced
    traced += 1
    if threading.current_thread() is not threading.main_thread():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1e6)
    return moment.loss
"""
SWALLOWING = """
def metric(moment):
    return moment.loss
import os, signal, time, matplotlib.figure
def deaf(*args, **options):
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(1e6)
    except BaseException:
        time.sleep(1e6)
matplotlib.figure.Figure.savefig = deaf
"""


@pytest.mark.parametrize(
    ("metric", "number", "line"),
    [
        (SLEEPING, signal.SIGTERM, "stopped by SIGTERM: the process was killed, as it did not end within 5 s"),
        pytest.param(TRACING, signal.SIGINT, "stopped by Ctrl-C", marks=pytest.mark.slow),
        pytest.param(
            SWALLOWING,
            signal.SIGHUP,
            "stopped by SIGHUP: the process was killed, as it did not end within 1 s",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["a metric in the program", "a metric while it is traced", "a figure that swallows the exception"],
)
def test_a_command_whose_code_hangs_is_ended_and_its_store_can_be_resumed(metric, number, line, tmp_path) -> None:
    path = page(tmp_path, metric, "(Metric('own', metric),)").read_text()
    (tmp_path / "page.py").write_text(path.replace("import MLP", "import MLP, Metric"))
    done = subprocess.run(
        [sys.executable, "-m", "sweep.run", "page.py", "--out", "store"], capture_output=True, text=True, check=False,
        cwd=tmp_path, timeout=120, env={**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == CODES[number], done.stderr
    assert done.stderr.splitlines()[-1] == f"sweep: {line}"
    assert done.stdout.splitlines()[-1].endswith("-m sweep.run page.py --out store --resume")
    assert open_results(tmp_path / "store").attrs["complete"] == (metric is SWALLOWING)


# ---------------------------------------------------------------------------------------------------------
# In a notebook.


def test_in_a_notebook_ctrl_c_is_a_keyboard_interrupt_and_the_handlers_are_restored(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in CODES}

    def send_two_signals(progress):
        if progress.stage == "training":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    experiment = tiny(axes=grid(seed=range(3)))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(experiment, out=tmp_path / "store", watch=send_two_signals)
    assert {number: signal.getsignal(number) for number in CODES} == before
    assert run_sweep(experiment, out=tmp_path / "store", resume=True).attrs["complete"]


@pytest.mark.parametrize("number", CODES)
def test_a_deferred_signal_is_raised_on_leaving_and_gives_its_words_and_code(number: signal.Signals, capsys) -> None:
    def main(args: object) -> None:
        with signals.defer_signals():
            os.kill(os.getpid(), number)

    assert run_guarded(main, []) == CODES[number]
    assert capsys.readouterr().err == f"sweep: stopped by {WORDS[number]}\n"


def test_a_handler_of_another_language_is_left_alone(monkeypatch) -> None:
    """Python says None for it, and refuses to set None."""
    handlers = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGUSR1 else handlers(number))
    with signals.defer_signals() as requests:
        assert {number: handlers(number) == requests.note for number in CODES} == {
            number: number != signal.SIGUSR1 for number in CODES
        }


def test_a_command_restores_the_handlers_and_ends_its_thread() -> None:
    before = {number: signal.getsignal(number) for number in CODES}
    threads = threading.active_count()
    with signals.obey_signals() as requests:
        assert {signal.getsignal(number) for number in CODES} == {requests.note}
    assert {number: signal.getsignal(number) for number in CODES} == before
    for thread in threading.enumerate():
        if thread.name.startswith("signals"):
            thread.join(5)
    assert threading.active_count() == threads


def test_the_first_signal_is_raised_and_the_second_is_not() -> None:
    requests = signals.Requests()
    with pytest.raises(KeyboardInterrupt):
        requests.note(signal.SIGINT, None)
    requests.note(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        requests.obey()


@pytest.mark.parametrize("obey", [signals.obey_signals, signals.defer_signals])
def test_under_nohup_a_closed_terminal_ends_nothing(obey) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with obey() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
            requests.leave()
            os.kill(os.getpid(), signal.SIGHUP)
        assert requests.ending is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
