"""Every page loads without JAX and runs as a smoke test with all its figures."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from sweep import Experiment, SweepError, load, open_results
from sweep.claims.verdicts import Verdict, judge
from sweep.page.identity import fingerprint
from sweep.page.load import SMOKE_EPOCHS, SMOKE_LANES, page_name, smoke
from sweep.page.resolve import resolve
from sweep.page.specs.figure import KINDS
from sweep.specs import Claim

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "experiments").rglob("*.py"))
FILMS = {"growth": (".gif",), "heatmap_film": (".gif",)}  # figures that move


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=cwd, check=False)


def test_pages_load_without_jax_and_are_named_by_their_paths() -> None:
    code = """
import sys
from sweep import load
for page in sys.argv[1:]:
    print(load(page).name, *{"jax", "flax", "optax"} & sys.modules.keys())
"""
    done = run("-c", code, *map(str, PAGES), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        page.relative_to(ROOT / "experiments").with_suffix("").as_posix() for page in PAGES
    ]


def decided(claim: Claim, results: xr.Dataset, name: str) -> Verdict | str:
    """Decide a claim, or say why not: of an axis a toy has the ends only."""
    try:
        return judge(claim, results, name)
    except SweepError as error:
        return str(error)


def how_often(page: Path) -> list[pytest.MarkDecorator]:
    """The newest Python runs one page, `make test` one more whose task and model differ, `make test-all` all."""
    if page.stem == "freq_principle":
        return [pytest.mark.core]
    return [] if page.stem == "bring_your_own" else [pytest.mark.slow]


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=how_often(page)) for page in PAGES], ids=[page.stem for page in PAGES]
)
def test_a_page_runs_as_a_smoke_test_draws_every_figure_and_decides_its_claims(page: Path, tmp_path: Path) -> None:
    done = run("-m", "sweep.run", str(page), "--smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    experiment = load(page)
    store = tmp_path / "results" / f"{experiment.name}@smoke"
    drawn = {path.name for path in (store / "figures").iterdir()}
    wanted = {figure.name for figure in experiment.figures}
    assert {f"{name}{suffix}" for name in wanted for suffix in FILMS.get(name, (".png", ".svg"))} <= drawn
    assert drawn
    assert not (tmp_path / "figures").exists()  # only unmodified pages draw into figures/
    results = open_results(store)
    verdicts = [decided(claim, results, experiment.name) for claim in experiment.claims]
    assert all(isinstance(each, Verdict) or re.search("raised (Key|Index)Error", each) for each in verdicts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_smoke_test_is_small_and_keeps_the_ends_of_each_axis(page: Path) -> None:
    experiment = load(page)
    small = smoke(experiment)
    assert small.epochs <= SMOKE_EPOCHS
    assert all(len(variant.members) <= SMOKE_LANES for variant in resolve(small).variants)
    first = small.axes.factors[0]
    assert first.rows == (experiment.axes.factors[0].rows[0], experiment.axes.factors[0].rows[-1])


def test_every_figure_is_named_by_some_page() -> None:
    """Figures that no page asks for would only ever be drawn by accident."""
    named = {figure.name for page in PAGES for figure in load(page).figures if figure.function is None}
    assert named == set(KINDS)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "\nfull = " in page.read_text()], ids=lambda page: page.stem
)
def test_a_full_experiment_differs_from_the_default_and_has_other_claims(page: Path) -> None:
    small, full = load(page), load(page, "full")
    assert full.name == f"{small.name}@full"
    assert fingerprint(full) != fingerprint(small)
    assert not {claim.id for claim in small.claims} & {claim.id for claim in full.claims}


def test_a_page_is_named_by_its_path_under_experiments() -> None:
    assert page_name(Path("a/experiments/questions/centre.py")) == "questions/centre"
    assert page_name(Path("elsewhere/centre.py")) == "centre"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0", "raised ZeroDivisionError at line 1: division by zero"),
        ("def f(:", "raised SyntaxError at line 1"),
        ("x = 1\nraise SystemExit(3)", "raised SystemExit at line 2: 3"),
        ("def f():\n    1 / 0\nf()", "raised ZeroDivisionError at line 2: division by zero"),
        ("experiment = 3", "defines no experiment: end it with `experiment = Experiment(...)`"),
        ("from sweep import grid\ngrid(seed=())", "axis 'seed' is empty: give it at least one value"),
    ],
)
def test_a_page_that_does_not_work_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    page = tmp_path / "page.py"
    page.write_text(text)
    with pytest.raises(SweepError, match=r"page\.py") as refused:
        load(page)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"no page at .*nowhere\.py: give the path of a Python file"):
        load(tmp_path / "nowhere.py")


def test_two_pages_of_one_name_do_not_share_a_module(tmp_path: Path) -> None:
    made = "Experiment(question={!r}, task=SumOfSines(), model=MLP(), axes=grid(seed=(1,)))"
    text = f"from sweep import *\nexperiment = {made}"
    questions = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        page = tmp_path / folder / "page.py"
        page.write_text(text.format(folder))
        experiment = load(page)
        assert isinstance(experiment, Experiment)
        questions.append(experiment.question)
    assert questions == ["a", "b"]


def test_a_page_is_read_again_at_each_load_and_its_functions_have_their_source(tmp_path: Path, monkeypatch) -> None:
    """A bytecode cache goes by size and whole seconds: a change of one digit within a second would go unseen."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    page = tmp_path / "page.py"
    text = (
        "from sweep import *\ndef target(x):\n    return {} * x\n"
        "experiment = Experiment(question='?', task=FromFunction(function=target), model=MLP(), axes=grid(seed=(0,)))"
    )
    for factor in (1, 2):
        page.write_text(text.format(factor))
        function = load(page).task.function  # type: ignore[attr-defined]
        assert function(3) == factor * 3
        assert inspect.getsource(function) == f"def target(x):\n    return {factor} * x\n"
    assert not (tmp_path / "__pycache__").exists()


BOTH = """
from dataclasses import replace
from sweep import *
experiment = Experiment(question="?", task=SumOfSines(points=16), model=MLP(), axes=grid(seed=(0,)))
full = replace(experiment, task=SumOfSines(points=160))
"""


def test_a_page_may_define_a_full_experiment_beside_a_smaller_one(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(BOTH)
    small, full = load(page), load(page, "full")
    assert (small.name, full.name) == ("page", "page@full")
    assert (small.task.points, full.task.points) == (16, 160)
    page.write_text(BOTH.replace("full =", "other ="))
    with pytest.raises(SweepError) as refused:
        load(page, "full")
    assert str(refused.value) == f"{page} defines no 'full': its experiment is not scaled down"
