"""`results.schema`: the form of results, which no other module determines itself."""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from synthetic import AXES, results, union

from sweep import MLP, Experiment, Linear, Record, grid, log_spaced, open_results, stats, zipped
from sweep.base import labels
from sweep.page.axes import Axes
from sweep.plots.drawing.view import view
from sweep.report import cells
from sweep.results import schema
from sweep.results.lane_tables import stack_lanes
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture
def laid_out(tmp_path: Path) -> Callable[[Axes], xr.Dataset]:
    """Lay out results of some axes, of which nothing is trained."""

    def lay_out(axes: Axes) -> xr.Dataset:
        record = Record(metrics=("loss",), at=log_spaced(1), snapshots=0)
        page = Experiment(
            question="?", task=Linear(points=8), model=MLP(depth=1, width=4), axes=axes, epochs=2, record=record
        )
        create(plan_sweep(page), tmp_path / "store")
        return open_results(tmp_path / "store")

    return lay_out


def test_swept_dimensions_are_those_of_the_axes(laid_out) -> None:
    ds = laid_out(zipped(seed=(0, 1), data_seed=(5, 6)) * grid(learning_rate=(0.1, 0.2), activation=("tanh", "relu")))
    assert schema.lane_dims(ds) == ("seed", "learning_rate", "activation")
    assert schema.swept_dims(ds) == ["learning_rate", "activation"]
    assert schema.knobs(ds) == ["seed", "data_seed", "learning_rate", "activation"]
    assert schema.knobs(ds, schema.swept_dims(ds)) == ["learning_rate", "activation"]
    assert schema.union_knobs(ds) == []
    assert schema.own_dims(ds, "loss") == ("epoch",)
    assert schema.metrics(ds) == ["loss"]
    assert schema.coords_along(ds, "seed") == ["seed", "data_seed"]
    assert not schema.is_numbered(ds, "seed")


def test_a_union_is_numbered_and_its_numbers_are_no_knob(laid_out) -> None:
    axes = grid(optimizer=["adam"], learning_rate=(0.1, 0.2)) + grid(optimizer=["sgd"], momentum=(0.0, 0.5))
    ds = laid_out(axes * grid(seed=(0, 1)))
    assert schema.swept_dims(ds) == ["point"]
    assert schema.is_numbered(ds, "point")
    assert schema.knobs(ds) == ["optimizer", "learning_rate", "momentum", "seed"]
    assert schema.union_knobs(ds) == ["optimizer", "learning_rate", "momentum"]


def test_a_page_without_axes_has_one_lane_without_dimensions(laid_out) -> None:
    ds = laid_out(grid())
    assert schema.lane_dims(ds) == ()
    assert schema.knobs(ds) == []
    assert schema.own_dims(ds, "loss") == ("epoch",)


def test_lanes_in_one_row_have_the_same_knobs() -> None:
    for ds in (results(AXES), union()):
        assert schema.knobs(stack_lanes(ds)) == schema.knobs(ds)


def test_a_variable_with_dimensions_of_its_own_has_them_in_order() -> None:
    ds = results(AXES)
    assert schema.own_dims(ds, "spectral_error") == ("epoch", "frequency")
    assert schema.own_dims(ds, "status") == ()
    assert schema.metrics(ds) == ["loss", "spectral_error", "spatial_error"]
    assert schema.better(ds["loss"]) == "lower"
    assert schema.better(xr.DataArray(0.0, name="mine", attrs={"better": "higher"})) == "higher"


def test_lanes_that_have_not_run_are_counted() -> None:
    ds = results(AXES)
    status = ds["status"].values.copy()
    status.flat[:4] = labels.NOT_RUN, labels.RUNNING, labels.DIVERGED, labels.CUT
    assert schema.count_unseen(ds.assign(status=ds["status"].copy(data=status))) == 2


def test_no_other_module_reads_the_dimensions_of_the_status() -> None:
    for path in (ROOT / "sweep").rglob("*.py"):
        if path.name != "schema.py":
            asked = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
            found = [ast.unparse(node) for node in asked if node.attr == "dims" and "'status'" in ast.unparse(node)]
            assert not found, path


def stopped() -> xr.Dataset:
    """Lanes that reach the target: the second rate reaches it first, the third has the lowest final loss."""
    ds = results(
        {"seed": range(3), "learning_rate": [1e-4, 1e-3, 1e-2], "width": [16.0, 64.0]},
        epochs=np.array([0.0, 5.0, 10.0]),
    )
    soon = xr.DataArray([10.0, 1.0, 5.0], dims="learning_rate") + xr.zeros_like(ds["status"], dtype=float)
    status = xr.full_like(ds["status"], labels.REACHED)
    return ds.assign(stop_epoch=soon.transpose(*ds["status"].dims), status=status)


@pytest.mark.parametrize("make", [stopped, results], ids=["lanes that ended early", "all to the end"])
def test_report_and_figures_show_the_same_combination(make) -> None:
    ds = make()
    about, _ = cells.embed(ds)
    place = about["first"]["at"]
    chosen = view(ds, "epoch").panels()
    shown = [float(panel["learning_rate"]) for panel in chosen]
    rate = float(ds["learning_rate"][place["learning_rate"]])
    assert rate in shown
    assert rate == float(stats.best_learning_rate(ds).isel(width=place["width"]))
    assert rate == (1e-3 if make is stopped else 1e-2)
