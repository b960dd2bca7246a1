"""The run command: exit codes, one line for bad input, separate stores of variations, help without JAX."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic import ended, results

from sweep import open_results
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.cli.command import run_guarded, to_one_line
from sweep.cli.terminal import MOST_ROWS, show_summary
from sweep.run import Options, main, parse_size, resolve

ROOT = Path(__file__).parents[2]
PAGE = """
from sweep import MLP, Experiment, Figure, Optimizer, Record, SumOfSines, grid, log_spaced
experiment = Experiment(
    question="Is this a small page?",
    task=SumOfSines(frequencies=(1, 2), points={points}),
    model=MLP(depth=1, width={width}, activation={activation!r}),
    optimizer=Optimizer("adam"),
    axes={axes},
    epochs=5,
    record=Record(metrics=("loss", "spectral_error"), at=log_spaced(3), snapshots=0),
    figures=({figures}),
)
"""
GOOD = {"points": 16, "width": 4, "activation": "tanh", "axes": "grid(seed=(0, 1))", "figures": "Figure('curves'),"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.py").write_text(PAGE.format(**GOOD))
    return tmp_path


AS_USUAL = ("-m", "sweep.run")
WITHOUT_JAX = (
    "-c",
    "import runpy, sys; sys.modules['jax'] = None; runpy.run_module('sweep.run', run_name='__main__', alter_sys=True)",
)


def run(folder: Path, *args: str, start: Sequence[str] = AS_USUAL) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, *start, *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, check=False)


def call(args: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which saves a start of Python and of JAX."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code = run_guarded(main, args)
        except SystemExit as leaving:  # after --help
            code = leaving.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command in this process, in the folder of the page."""
    monkeypatch.chdir(folder)
    return lambda *args: call(args)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run the page once; return its folder, of which tests use a copy, and what the command printed."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "page.py").write_text(PAGE.format(**GOOD))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, call(["page.py"])


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(done: subprocess.CompletedProcess[str], *messages: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("sweep: ")
    for each in messages:
        assert each in lines[0]


def test_a_run_trains_stores_and_draws_and_a_second_run_only_draws(folder: Path, first) -> None:
    trained, done = first
    assert done.returncode == 0, done.stderr
    assert "10 lane-steps" in done.stdout
    assert "halving epochs" in done.stdout
    assert "nothing to train" not in done.stdout
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    figure = folder / "figures" / "page" / "curves.png"
    stored = snapshot(folder / "results")
    figure.unlink()
    second = run(folder, "page.py", start=WITHOUT_JAX)
    assert second.returncode == 0, second.stderr
    assert figure.exists()
    assert "training" not in second.stdout
    assert "is complete: nothing to train" in second.stdout
    assert snapshot(folder / "results") == stored


@pytest.mark.slow
def test_overrides_are_typed_and_use_a_separate_store(folder: Path) -> None:
    assert run(folder, "page.py").returncode == 0
    before = snapshot(folder)
    args = (
        "--epochs",
        "7",
        "--task.noise",
        "0.1",
        "--axes.learning-rate",
        "1e-4",
        "1e-3",
        "--optimizer.name",
        "sgd",
    )
    done = run(folder, "page.py", *args)
    assert done.returncode == 0, done.stderr
    after = snapshot(folder)
    assert {name: after[name] for name in before} == before
    (store,) = {Path(name).parts[1] for name in after if name not in before}
    assert store == "page@epochs-7,task.noise-0.1,optimizer.name-sgd,axes.learning_rate-0.0001-0.001"
    ds = open_results(folder / "results" / store)
    assert ds.learning_rate.values.tolist() == [1e-4, 1e-3]
    assert ds.epoch.values[-1] == 7
    assert '"name": "sgd"' in ds.attrs["experiment"]


def test_knobs_of_one_axis_must_be_changed_together(folder: Path, here) -> None:
    (folder / "page.py").write_text(
        PAGE.format(**GOOD | {"axes": "zipped(seed=(0, 1), data_seed=(0, 1))"}).replace("grid,", "grid, zipped,")
    )
    assert_refused(here("page.py", "--axes.seed", "3"), "an axis sweeps seed, data_seed together", "--axes.data-seed")
    options = Options(folder / "page.py")
    experiment = resolve(options, ["--axes.seed", "3", "4", "--axes.data-seed", "5", "6"]).experiment
    assert experiment.axes.factors[0].rows == ((3, 5), (4, 6))


def test_a_store_of_another_experiment_is_refused_and_fresh_moves_it_away(folder: Path, here, first) -> None:
    shutil.copytree(first[0], folder, dirs_exist_ok=True)
    (folder / "page.py").write_text(PAGE.format(**GOOD | {"width": 5}))
    before = snapshot(folder)
    assert_refused(here("page.py"), "results/page", "another experiment, it differs in model", "--fresh")
    assert snapshot(folder) == before
    assert here("page.py", "--fresh").returncode == 0
    assert '"width": 4' in open_results(folder / "results" / "page.old-1").attrs["experiment"]
    assert '"width": 5' in open_results(folder / "results" / "page").attrs["experiment"]


@pytest.mark.slow
def test_a_changed_question_is_the_same_experiment(folder: Path) -> None:
    assert run(folder, "page.py").returncode == 0
    text = (folder / "page.py").read_text().replace("Is this a small page?", "Is it?")
    (folder / "page.py").write_text(text)
    assert run(folder, "page.py").returncode == 0


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            {"axes": "grid(lerning_rate=(1e-3,))"},
            ("unknown knob 'lerning_rate'", "did you mean 'learning_rate'?"),
        ),
        ({"activation": "tahn"}, ("unknown activation 'tahn'", "did you mean 'tanh'?")),
        ({"axes": "grid(seed=())"}, ("axis 'seed' is empty", "at least one value")),
        ({"axes": "grid(width=(4, -4))"}, ("width must be at least 1", "-4")),
        ({"axes": "grid(learning_rate=(-1e-3,))"}, ("learning_rate must be greater than 0", "-0.001")),
        ({"points": 4}, ("frequency 2", "Nyquist limit 2", "more points or a lower frequency")),
        ({"figures": "Figure('histogram'),"}, ("unknown figure 'histogram'", "frequency_epoch")),
        ({"figures": "Figure('epochs_to_converge'),"}, ("'epochs_to_converge' needs 'learning_rate'",)),
    ],
    ids=["knob", "activation", "empty", "width", "rate", "nyquist", "figure", "misfit"],
)
def test_a_wrong_page_is_refused_in_one_line_and_nothing_changes(
    folder: Path, here, change: dict[str, object], messages: tuple[str, ...]
) -> None:
    (folder / "page.py").write_text(PAGE.format(**GOOD | change))
    before = snapshot(folder)
    assert_refused(here("page.py"), "page.py", *messages)
    assert {k: v for k, v in snapshot(folder).items() if "__pycache__" not in k} == before


@pytest.mark.parametrize(
    ("args", "messages"),
    [
        (("nowhere.py",), ("no page at nowhere.py",)),
        ((), ("PATH",)),
        (("page.py", "--epcohs", "7"), ("--epcohs", "did you mean --epochs?")),
        (("page.py", "--epochs", "many"), ("--epochs", "'many'")),
        (("page.py", "--epochs", "-3"), ("epochs", "-3")),
        (("--epochs", "3", "page.py"), ("the page comes first, got --epochs",)),
        (("page.py", "--memory", "much"), ("--memory", "'much'", "2GiB")),
        (("page.py", "--memory", "1KiB"), ("memory budget of 1 KiB is too small", "--memory")),
        (("page.py", "--devices", "0"), ("devices must be a whole number from 1 on, got 0",)),
        (("page.py", "--devices", "4", "--plan"), ("devices=4 is more than there are here, 3 x cpu", "at most 3")),
        (("page.py", "--resume", "--fresh"), ("exclude each other",)),
        (("page.py", "--part", "0/16"), ("there is no part 0/16", "1/16 to 16/16")),
        (("page.py", "--part", "17/16"), ("there is no part 17/16",)),
        (("page.py", "--part", "3/0"), ("there is no part 3/0",)),
        (("page.py", "--part", "3"), ("--part takes NUMBER/OF, such as 3/16", "'3'")),
        (("page.py", "--part", "a/b"), ("--part takes NUMBER/OF", "'a/b'")),
        (("page.py", "--part", "-1/4"), ("--part",)),
        (("page.py", "--part", "1/2", "--fresh"), ("--part and --fresh exclude each other",)),
        (("page.py", "--part", "1/2", "--grow"), ("--part and --grow exclude each other",)),
        (("page.py", "--part", "1/2", "--lane", "seed=0"), ("leave out --part",)),
        (("page.py", "--part", "1/2", "--out", "elsewhere"), ("elsewhere is not a store",)),
        (("page.py", "--part", "1/2", "--out", "elsewhere", "--plan"), ("elsewhere is not a store",)),
        (("page.py", "--axes.momentum", "0.5"), ("'momentum' does not apply to optimizer 'adam'",)),
        (("page.py", "--out", "/proc/sweep"), ("can't write /proc/sweep", "--out")),
        (("page.py", "--figures-dir", "/proc/figures"), ("cannot write figures to /proc/figures", "another folder")),
        (("page.py", "--out", "elsewhere"), ("elsewhere is not a store",)),
        (("page.py", "--out", "elsewhere", "--fresh"), ("elsewhere is not a store",)),
    ],
    ids=lambda value: "_".join(value) if value and value[0].endswith(".py") else None,
)
def test_a_wrong_command_line_is_refused_in_one_line_and_nothing_changes(
    folder: Path, here, args: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "diary.txt").write_text("mine")
    before = snapshot(folder)
    assert_refused(here(*args), *messages)
    assert {k: v for k, v in snapshot(folder).items() if "__pycache__" not in k} == before


def test_debug_shows_the_traceback(here) -> None:
    done = here("nowhere.py", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_an_internal_error_has_exit_code_1_and_one_line(here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.runs.runner.run_sweep", None)
    done = here("page.py")
    assert done.returncode == 1
    assert done.stderr.startswith("sweep: internal error: TypeError")
    assert done.stderr.count("\n") == 1
    kept = Path(done.stderr.partition("its traceback, which is in ")[2].partition(";")[0])
    assert "Traceback" in kept.read_text()
    kept.unlink()


def test_a_plan_is_printed_and_nothing_is_trained(folder: Path, here) -> None:
    done = here("page.py", "--plan")
    assert done.returncode == 0, done.stderr
    for part in ("2 lanes (seed 2)", "one program", "tile", "memory", "estimate"):
        assert part in done.stdout
    assert not (folder / "results").exists()


def test_a_plan_shows_how_many_devices_it_uses(here) -> None:
    assert "on 1 cpu device(s)" in " ".join(here("page.py", "--plan", "--devices", "1").stdout.split())


def test_the_last_part_draws_the_figures_and_the_others_say_what_is_missing(folder: Path, here) -> None:
    first = here("page.py", "--part", "2/2")
    assert first.returncode == 0, first.stderr
    said = " ".join(first.stdout.split())
    assert "note: part 2/2 has 1 wave, all stored; of all 2 waves 1 are stored; missing: part 1/2; run these" in said
    assert "store results/page" in said
    assert not (folder / "figures").exists()
    plan = here("page.py", "--part", "3/5", "--plan")
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout.endswith("part 3/5: no wave, as there are 2: it has nothing to do\n"), "the store has its waves"
    last = here("page.py", "--part", "1/2")
    assert last.returncode == 0, last.stderr
    assert "10 lane-steps" in last.stdout
    assert (folder / "figures" / "page" / "curves.png").exists()
    assert "is complete: nothing to train" in here("page.py", "--part", "1/2").stdout


def test_lanes_that_are_compared_are_not_planned_in_parts(folder: Path, here) -> None:
    text = PAGE.format(**GOOD).replace("epochs=5,", "epochs=5, stop=Halving(),").replace("grid,", "grid, Halving,")
    (folder / "page.py").write_text(text)
    assert_refused(here("page.py", "--part", "1/2", "--plan"), "Halving compares all lanes", "in parts")


def test_a_part_that_is_stopped_goes_on_with_the_same_command(here, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep.base.signals import Terminated
    from sweep.runs import runner

    def stopped(*_: object, **__: object) -> None:
        raise Terminated

    monkeypatch.setattr(runner, "run_part", stopped)
    done = here("page.py", "--part", "1/2")
    assert done.returncode == 143
    assert done.stdout.rstrip().endswith("-m sweep.run page.py --part 1/2")


def test_help_without_a_page_loads_nothing_slow(folder: Path) -> None:
    """Help should take a fifth of a second; what takes longer are imports, so these are checked."""
    code = (
        "import sys; from sweep.run import main\ntry: main(['--help'])\n"
        "except SystemExit: print({'jax', 'numpy', 'xarray', 'rich', 'typeguard', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert "--resume" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_help_of_a_page_lists_its_fields(here) -> None:
    done = here("page.py", "--help")
    assert done.returncode == 0, done.stderr
    for option in (
        "--epochs",
        "--task.noise",
        "--axes.learning-rate",
        "--optimizer.name",
        "One of: sgd, adam",
    ):
        assert option in done.stdout


def test_the_store_of_a_page_under_experiments_has_the_same_folders(folder: Path) -> None:
    nested = folder / "experiments" / "questions"
    nested.mkdir(parents=True)
    (nested / "centre.py").write_text((folder / "page.py").read_text())
    store = resolve(Options(nested / "centre.py", smoke=True), []).store
    assert store == Path("results/questions/centre@smoke")


def test_full_has_its_own_store(folder: Path) -> None:
    page = folder / "page.py"
    with page.open("a") as file:
        file.write("from dataclasses import replace\nfull = replace(experiment, epochs=50)\n")

    def stored(*rest: str, **options: bool) -> str:
        what = resolve(Options(page, **options), rest)
        experiment, store = what.experiment, what.store
        assert experiment.name == store.relative_to("results").as_posix()
        return store.as_posix()

    assert stored() == "results/page"
    assert stored(full=True) == "results/page@full"
    assert stored(full=True, smoke=True) == "results/page@full@smoke"
    assert resolve(Options(page, full=True), []).experiment.epochs == 50
    varied = [stored("--epochs", "7", full=full) for full in (False, True)]
    assert varied == ["results/page@epochs-7", "results/page@full@epochs-7"]
    many = stored("--axes.seed", *map(str, range(40)))
    assert re.fullmatch("results/page@[0-9a-f]{8}", many)  # too many values for a name in words


def test_full_is_refused_where_a_page_does_not_define_it(here) -> None:
    assert_refused(here("page.py", "--full"), "page.py defines no 'full'")


@pytest.mark.parametrize(
    ("text", "expected"), [("2GiB", 2 * 2**30), ("500MB", 500_000_000), ("1e9", 10**9), ("1.5 kib", 1536)]
)
def test_sizes_are_parsed(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "0", "2TB2", "1..5MB"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(SweepError, match="--memory must be a size"):
        parse_size(text)


def test_a_box_is_reduced_to_one_line() -> None:
    lines = ("╭─ Parsing error ─╮", "│ Unrecognized options: --a │", "│ ────────── │", "│ Perhaps you meant: │")
    box = "\n".join((*lines, "│ --b INT │", "╰──╯", ""))
    assert to_one_line(box) == "Unrecognized options: --a; did you mean --b?"


@pytest.mark.slow
def test_progress_is_printed_in_plain_lines_where_there_is_no_terminal(folder: Path) -> None:
    done = run(folder, "page.py")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("compiling", "training"))]
    assert lines[0].startswith("compiling 1 program")
    assert lines[-1].startswith("training 100%")
    assert "\x1b" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_a_terminal_shows_a_bar(folder: Path) -> None:
    import pty

    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "sweep.run", "page.py"]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(command, stdout=writer, stderr=writer, cwd=folder, env=env)
    os.close(writer)
    seen, begun = b"", time.monotonic()
    while time.monotonic() - begun < 120:
        try:
            seen += os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
    assert process.wait(10) == 0
    assert "━".encode() in seen
    assert b"lane-steps/s" in seen


@pytest.mark.slow
def test_a_reader_that_ends_does_not_stop_the_run(folder: Path) -> None:
    command = f"{sys.executable} -m sweep.run page.py | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert open_results(folder / "results" / "page").attrs["complete"]


@pytest.mark.slow
def test_figures_of_a_smoke_test_are_not_drawn_into_the_figures_folder(folder: Path) -> None:
    done = run(folder, "page.py", "--smoke", "--out", "results/page")
    assert done.returncode == 0, done.stderr
    assert not (folder / "figures").exists()
    assert run(folder, "results/page", start=("-m", "sweep.plot")).returncode == 0
    assert not (folder / "figures").exists()


@pytest.mark.parametrize(
    ("args", "messages"),
    [
        (("--optimizer.learning-rate", "0.5"), ("--optimizer.learning-rate", "--axes.learning-rate")),
        (("--optimizer.learning_rate=0.5",), ("--optimizer.learning-rate", "--axes.learning-rate")),
        (("--seed", "3"), ("--seed", "--axes.seed")),
        (("--data-seed", "3", "--axes.data-seed", "4", "5"), ("--data-seed", "--axes.data-seed")),
        (("--optimizer.name", "sgd", "--axes.optimizer", "adam"), ("--optimizer.name", "--axes.optimizer")),
    ],
)
def test_a_value_that_an_axis_overrides_is_refused(
    folder: Path, args: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    (folder / "page.py").write_text(PAGE.format(**GOOD | {"axes": "grid(seed=(0, 1), learning_rate=(0.1, 0.2))"}))
    with pytest.raises(SweepError, match="would change nothing, as the axes sweep") as refused:
        resolve(Options(folder / "page.py"), args)
    for each in messages:
        assert each in str(refused.value)


def test_a_value_that_fills_the_gaps_of_a_union_is_accepted(folder: Path) -> None:
    axes = "grid(optimizer=('adam',), learning_rate=(0.1, 0.2)) + grid(optimizer=('sgd',))"
    (folder / "page.py").write_text(PAGE.format(**GOOD | {"axes": axes}))
    experiment = resolve(Options(folder / "page.py"), ["--optimizer.learning-rate", "0.5"]).experiment
    assert experiment.optimizer.learning_rate == 0.5


OWN = """
from sweep import MLP, Experiment, FromOptax, Linear, grid
def build(learning_rate, decay, form):
    ...
experiment = Experiment(
    question="?", task=Linear(points=16), model=MLP(depth=0), axes=grid(learning_rate=(0.1, 0.2)),
    optimizer=FromOptax(build, learning_rate=1.0, decay=0.5, form="a"),
)
"""


def test_numbers_of_a_pages_own_optimizer_and_options_of_others_are_options_of_the_command(folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    args = ["--optimizer.decay", "0.25", "--optimizer.form", "b", "--axes.learning-rate", "0.3"]
    experiment = resolve(Options(folder / "own.py"), args).experiment
    assert dict(experiment.optimizer.numbers) == {"learning_rate": 1.0, "decay": 0.25, "form": "b"}
    assert experiment.name.endswith("@optimizer.decay-0.25,optimizer.form-b,axes.learning_rate-0.3")
    with pytest.raises(SweepError, match=r"--optimizer\.learning-rate would change nothing"):
        resolve(Options(folder / "own.py"), ["--optimizer.learning-rate", "0.3"])
    args = ["--axes.clip-norm", "0.1", "1", "--optimizer.layer-rates", "1", "0.5", "--optimizer.accumulate", "2"]
    experiment = resolve(Options(folder / "page.py"), args).experiment
    assert experiment.optimizer.layer_rates == (1.0, 0.5)
    assert experiment.axes.values("clip_norm") == (0.1, 1.0)


@pytest.mark.slow
def test_the_summary_table_names_the_knobs_of_each_row_of_a_union(folder: Path) -> None:
    axes = "grid(optimizer=('adam',), learning_rate=(0.1, 0.2)) + grid(optimizer=('sgd',), momentum=(0.9,))"
    (folder / "page.py").write_text(PAGE.format(**GOOD | {"axes": axes}))
    done = run(folder, "page.py")
    assert done.returncode == 0, done.stderr
    output = " ".join(done.stdout.split())
    for row in ("optimizer adam, learning rate 0.1", "optimizer adam, learning rate 0.2", "momentum 0.9"):
        assert row in output


def test_a_summary_table_with_too_many_rows_shows_those_with_the_lowest_loss() -> None:
    ds = results({"width": range(100)}, points=2).drop_vars("spectral_error")
    losses = np.random.default_rng(0).permutation(100)
    ds["loss"][:, -1] = losses
    ds = ended(ds, labels.NOT_RUN, ds.width == np.argmin(losses))  # a lane without data must not count as a low loss
    ds.attrs |= {
        "lane_steps": 1,
        "lane_steps_planned": 1,
        "lane_steps_executed": 1,
        "training_seconds": 1.0,
        "compile_seconds": 1.0,
    }
    console = Console(file=StringIO(), width=100)
    show_summary(console, ds, Path("store"), [])
    output = console.file.getvalue()  # type: ignore[attr-defined]
    rows = [line.split() for line in output.splitlines()]
    widths = [int(row[0]) for row in rows if len(row) == 3 and row[0].isdigit()]
    assert widths == np.argsort(losses).tolist()[1 : MOST_ROWS + 1]
    assert "the 24 of 100 rows with the lowest loss" in output


@pytest.mark.slow
def test_a_stopping_rule_can_be_changed_on_the_command_line_and_its_savings_are_printed(folder: Path) -> None:
    text = PAGE.format(**GOOD).replace("log_spaced\n", "log_spaced\nfrom sweep.specs import Target\n", 1)
    (folder / "page.py").write_text(text.replace("epochs=5,", "epochs=5, stop=Target(1e-9),"))
    done = run(folder, "page.py", "--stop.value", "1e9", "--out", "store")
    assert done.returncode == 0, done.stderr
    assert "needed 10 lane-steps fewer than the 10 planned; 0 were executed" in " ".join(done.stdout.split())
    assert "2 reached" in done.stdout
    refused = run(folder, "page.py", "--stop.value", "nan")
    assert_refused(refused, "value of Target must be a finite number")


@pytest.mark.parametrize("name", ["points", "low", "high", "placement"])
def test_what_the_rows_of_data_decide_is_no_option(folder: Path, here, name: str) -> None:
    (folder / "page.py").write_text(
        "from sweep import MLP, Data, Experiment, grid\n"
        "experiment = Experiment(question='?', task=Data([[1.0], [2.0], [4.0]], [1.0, 2.0, 3.0]), model=MLP(depth=0), "
        "axes=grid(seed=(0,)), epochs=1)\n"
    )
    assert_refused(here("page.py", f"--task.{name}", "5"), f"Unrecognized options: --task.{name}")
    assert not (folder / "results").exists()
