"""Recipes are short, they load and plan, and everything that is done with a page works with each of them."""

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sweep import Data, Experiment, Halving, load, open_results, run_sweep, trained
from sweep.base.labels import CUT
from sweep.base.signals import Terminated
from sweep.compare.__main__ import main as compare
from sweep.export.__main__ import main as export
from sweep.page.axes import lay_out
from sweep.page.load import smoke
from sweep.page.specs.model import FromModule
from sweep.report.__main__ import main as report
from sweep.results.store import Store, read
from sweep.runs.coordinator import Coordinator
from sweep.runs.executors.local import LocalExecutor
from sweep.runs.filling import resume
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.runs.progress import Progress
from sweep.runs.replay import replay
from sweep.runs.shares import Share
from sweep.runs.trained import Trained

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "experiments" / "recipes").glob("*.py"))
TRAININGS = sorted((ROOT / "experiments" / "trainings").glob("*.py"))
PAGES = [*RECIPES, *TRAININGS]
DOCUMENTS = {"recipes": RECIPES, "trainings": TRAININGS}
QUICK = "own_csv"  # stands for all of them in `make test`
LAST = {"snapshot_epoch": -1}


@dataclass(frozen=True)
class Recipe:
    """The toy that stands for a page, and its store."""

    experiment: Experiment
    store: Path


def toy(page: Path) -> Experiment:
    """Shrink a page as `--smoke` does; it has predictions, with which to compare its networks."""
    small = smoke(load(page))
    return replace(small, record=replace(small.record, snapshots=2))


@pytest.fixture(
    scope="module",
    params=[pytest.param(page, marks=() if page.stem == QUICK else pytest.mark.slow) for page in PAGES],
    ids=lambda page: page.stem,
)
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    store = tmp_path_factory.mktemp(request.param.stem) / "store"
    experiment = toy(request.param)
    run_sweep(experiment, out=store)
    return Recipe(experiment, store)


def assert_equal(one: xr.Dataset, other: xr.Dataset) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], other[name], str(name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_recipe_is_short_names_its_figures_and_is_planned_with_all_its_lanes(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= (30 if page in RECIPES else 65)
    experiment = smoke(load(page))
    assert experiment.figures
    plan = plan_sweep(experiment)  # traces networks, losses and metrics
    assert sum(len(members) for _, members in plan.blocks()) == len(lay_out(experiment.axes))


@pytest.mark.parametrize("folder", DOCUMENTS)
def test_every_page_has_a_line_and_a_picture_in_the_document(folder: str) -> None:
    text = (ROOT / "docs" / {"recipes": "recipes.md", "trainings": "training.md"}[folder]).read_text()
    named = set(re.findall(rf"\(\.\./experiments/{folder}/(\w+)\.py\)", text))
    assert named == {page.stem for page in DOCUMENTS[folder]}
    pictures = re.findall(rf"!\[[^]]+\]\(\.\./(figures/{folder}/[\w/]+\.png)\)", text)
    assert {Path(each).parts[2] for each in pictures} == named
    assert all((ROOT / each).exists() for each in pictures)


def test_a_recipe_that_was_stopped_goes_on_to_the_same_bits(recipe: Recipe, tmp_path: Path) -> None:
    plan = plan_sweep(recipe.experiment)
    create(plan, tmp_path / "stopped")

    def stop(progress: Progress) -> None:
        if progress.lane_steps > plan.lane_steps() // 2:
            raise Terminated(signal.SIGTERM)

    with pytest.raises(Terminated):
        Coordinator(Share(plan, Store(tmp_path / "stopped")), stop).run()
    resume(recipe.experiment, tmp_path / "stopped", LocalExecutor(), lambda progress: None)
    assert_equal(open_results(tmp_path / "stopped"), open_results(recipe.store))


def test_a_lane_of_a_recipe_is_replayed_to_the_bit(recipe: Recipe) -> None:
    flat = read(recipe.store)
    lane = int(flat["lane"].max())
    again = replay(recipe.experiment, flat.attrs, lane=lane).curves
    stored = flat.isel(lane=int(np.flatnonzero(flat["lane"].values == lane)[0]))
    names = {name for name in again.data_vars if name in stored and "epoch" in stored[name].dims}
    assert "loss" in names
    for name in names:
        np.testing.assert_array_equal(again[name], stored[name], str(name))


def test_a_recipe_is_halved_and_what_stays_has_the_same_bits(recipe: Recipe, tmp_path: Path) -> None:
    run_sweep(replace(recipe.experiment, stop=Halving(by="lane", first=0.1)), out=tmp_path / "halved")
    halved, whole = open_results(tmp_path / "halved"), open_results(recipe.store)
    cut = halved.status == CUT
    assert cut.any()
    assert not cut.all()
    known = halved.loss.notnull()
    np.testing.assert_array_equal(halved.loss.where(known), whole.loss.where(known))


def first_of(recipe: Recipe) -> tuple[Trained, xr.Dataset]:
    """Give the network of the first lane, and its results."""
    ds = open_results(recipe.store)
    ds = ds.isel(dict.fromkeys(ds.status.dims, 0))
    knobs = {name: ds[name].item() for name in recipe.experiment.axes.knobs()}
    page = recipe.experiment
    own = page if page.training or isinstance(page.model, FromModule) else None
    return trained(recipe.store, experiment=own, **knobs), ds


def test_the_network_of_a_recipe_predicts_what_its_store_has(recipe: Recipe) -> None:
    net, ds = first_of(recipe)
    task = recipe.experiment.task
    if recipe.experiment.training:  # which predicts nothing
        assert np.isfinite(net.loss)
        return
    if isinstance(task, Data):
        inputs, stored = task.rows().T[task.samples()], ds["sample_prediction"]
    elif "x1" in ds.dims:
        inputs = np.stack(np.meshgrid(ds["x1"], ds["x2"], indexing="ij"), axis=-1).reshape(-1, 2)
        stored = ds["prediction"].stack(x=("x1", "x2"))
    elif "prediction" in ds:
        inputs, stored = ds["x"].values, ds["prediction"]
    else:  # of many features there is no x to predict at
        assert net.predict(np.zeros((3, task.input_size()))).shape == (3,)
        return
    if "target_mean" in ds:  # of standardised targets
        stored = stored * ds["target_deviation"] + ds["target_mean"]
    known = stored.isel(LAST)
    np.testing.assert_allclose(net.predict(inputs), known, rtol=1e-4, atol=1e-5 * max(1.0, float(abs(known).max())))


COMMANDS: dict[str, tuple[Callable[..., None], tuple[str, ...], str]] = {
    "export": (export, ("--to", "csv", "--out"), "tables"),
    "report": (report, ("--out",), "report.html"),
}


@pytest.mark.filterwarnings("ignore:figure .* is drawn by a function of its page")
@pytest.mark.parametrize("command", ["export", pytest.param("report", marks=pytest.mark.slow)])
def test_a_recipe_is_exported_and_reported(recipe: Recipe, tmp_path: Path, command: str) -> None:
    function, options, out = COMMANDS[command]
    function([str(recipe.store), *options, str(tmp_path / out)])
    assert (tmp_path / out).exists()


@pytest.mark.slow
def test_two_runs_of_a_recipe_are_compared(recipe: Recipe, tmp_path: Path) -> None:
    run_sweep(replace(recipe.experiment, data_seed=7), out=tmp_path / "other")
    compare([str(recipe.store), str(tmp_path / "other"), "--out", str(tmp_path / "compared")])
    assert (tmp_path / "compared").is_dir()
