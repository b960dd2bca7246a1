"""Errors and predictions over the x that a page names, also beyond the training range, against NumPy and Flax."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Plain, lives, make_plan, rows_of, tiny, to_flax

from sweep import run_sweep
from sweep.base.errors import SweepError
from sweep.base.labels import METRICS
from sweep.page.axes import Axes, grid, zipped
from sweep.page.resolve import resolve
from sweep.results.skeleton import skeleton
from sweep.runs.layout import dimension_values
from sweep.specs import MLP, XOR, Linear, Record, Sine, Window, linear_spaced

X = np.linspace(-1, 2, 31)
RANGES = {"low": (0.0, -0.5), "high": (1.0, 0.25)}


@pytest.fixture(scope="module")
def looked_at():
    """Two lanes with different training ranges, shown over one x."""
    experiment = tiny(
        task=Sine(points=16, target_frequency=1.5, noise=0.1), model=MLP(width=5, depth=1, bias_initializer="normal"),
        axes=zipped(**RANGES, placement=("grid", "random")), precision="float64",
        record=Record(metrics=("spatial_error", "extrapolation_error"), x=Window(-1, 2, 31), at=linear_spaced(2)),
    )  # fmt: skip
    return experiment, lives(make_plan(experiment))


def test_predictions_and_errors_go_beyond_the_training_range(looked_at):
    experiment, lanes = looked_at
    for row, life in zip(rows_of(experiment), lanes, strict=True):
        low, high = dict(row)["low"], dict(row)["high"]
        np.testing.assert_allclose(life.target, np.sin(3 * np.pi * X), atol=1e-13)
        seen = (2 * X - low - high) / (high - low)  # each lane's inputs are scaled by its own range
        for number, state in enumerate(life.states):
            with jax.enable_x64(True):
                parameters = jax.tree.map(jnp.asarray, to_flax(state.parameters))
                h = np.asarray(Plain((5,), "tanh", True, jnp.float64).apply(parameters, jnp.asarray(seen)[:, None]))
            np.testing.assert_allclose(life.curves["prediction"][number], h, rtol=1e-9)
            np.testing.assert_allclose(life.curves["spatial_error"][number], np.abs(life.target - h), atol=1e-12)


def test_the_extrapolation_error_is_the_root_mean_square_beyond_each_lane_s_own_range(looked_at):
    experiment, lanes = looked_at
    for row, life in zip(rows_of(experiment), lanes, strict=True):
        beyond = (dict(row)["low"] > X) | (dict(row)["high"] < X)
        assert beyond.sum() == {0.0: 20, -0.5: 23}[dict(row)["low"]]  # the ends belong to the range
        errors = np.abs(np.sin(3 * np.pi * X) - life.curves["prediction"])[:, beyond]
        np.testing.assert_allclose(life.curves["extrapolation_error"], np.sqrt((errors**2).mean(axis=1)), rtol=1e-10)
    assert not np.allclose(lanes[0].curves["extrapolation_error"], lanes[1].curves["extrapolation_error"], rtol=0.01)


def test_results_are_over_that_x_and_say_where_the_training_points_end():
    task = Linear(slopes=(2.0,), intercept=1.0, low=-1.0, high=3.0, points=8)
    record = Record(metrics=("spatial_error", "extrapolation_error"), x=Window(-3, 6, 9, end=False))
    ds = run_sweep(tiny(task=task, model=MLP(depth=0), axes=grid(seed=(0, 1)), epochs=2, record=record))
    np.testing.assert_array_equal(ds.x, np.arange(-3, 6))
    assert ds.prediction.sizes["x"] == 9
    assert (ds.x.train_low, ds.x.train_high) == (-1, 3)
    np.testing.assert_allclose(ds.target.isel(seed=0), 2 * np.arange(-3, 6) + 1, atol=1e-6)
    outside = ds.spatial_error.sel(x=[-3, -2, 4, 5])
    np.testing.assert_allclose(ds.extrapolation_error, np.sqrt((outside**2).mean("x")), rtol=1e-5)


def attributes_of_x(experiment: Any) -> dict[str, Any]:
    """Lay results out without training, and give the attributes of x."""
    plan, none = make_plan(experiment), np.array([], int)
    laid = skeleton(
        experiment, resolve(experiment).columns, order=plan.order(), epochs=plan.epochs,
        steps=None, snapshots=none, quantities=[METRICS["spatial_error"]], constants=[],
        sizes=dimension_values(plan),
    )  # fmt: skip
    return laid["x"].attrs


def test_the_training_range_is_not_stated_if_lanes_differ_in_it():
    record = Record(x=Window(-1, 2, 31))
    assert not {"train_low", "train_high"} & set(attributes_of_x(tiny(axes=zipped(**RANGES), record=record)))
    assert attributes_of_x(tiny(axes=Axes(), record=record))["train_high"] == 1
    assert attributes_of_x(tiny(axes=grid(learning_rate=(0.1,)), record=Record()))["train_low"] == 0


def test_without_an_x_beyond_the_range_there_is_no_extrapolation_error():
    inside, beyond = Record(x=Window(0, 1, 9)), Record(x=Window(0, 1.5, 9))
    assert "extrapolation_error" not in tiny().metrics()
    assert "extrapolation_error" not in tiny(record=inside).metrics()
    assert "extrapolation_error" in tiny(record=beyond).metrics()
    assert "spatial_error" not in tiny(task=XOR, record=Record()).metrics()
    with pytest.raises(SweepError, match=r"record\.x is of points with one or two features"):
        tiny(task=XOR, record=beyond)
    asked = Record(metrics=("extrapolation_error",), x=inside.x)
    with pytest.raises(SweepError, match="metric 'extrapolation_error' does not apply to SumOfSines"):
        tiny(record=asked)
