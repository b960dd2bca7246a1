"""A sweep over layers, biases and amplitudes, from the page to results, figures, networks and replays."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from helpers import tiny

from sweep import plots, run_sweep, trained
from sweep.base.errors import SweepError, SweepWarning
from sweep.page.axes import grid, zipped
from sweep.runs.layout import create
from sweep.runs.planning import plan_sweep
from sweep.specs import MLP, Record, SumOfSines, every

EXPERIMENT = tiny(
    task=SumOfSines(frequencies=(1, 3), points=16, phases=(0, 0)), model=MLP(),
    axes=zipped(hidden=((4, 3), (5,)), amplitudes=((1, 0.5), (0.25, -2)), bias=(True, False)) * grid(seed=(0, 1)),
    record=Record(metrics=("loss", "gradient_norm"), at=every(6), snapshots=2, keep="nothing"), epochs=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay a store out, and resume it from nothing."""
    path = tmp_path_factory.mktemp("written") / "store"
    create(plan_sweep(EXPERIMENT), path)
    run_sweep(EXPERIMENT, out=path, resume=True)
    return path


@pytest.fixture(scope="module")
def results(store: Path) -> xr.Dataset:
    return run_sweep(EXPERIMENT, out=store)


def test_results_are_selected_by_texts_and_are_those_of_the_values(results: xr.Dataset) -> None:
    assert (results.sizes["hidden"], results.hidden.dims, results.bias.dims) == (2, ("hidden",), ("hidden",))
    assert results.hidden.attrs["units"] == "neurons"
    x = np.arange(16) / 16
    for text, bias, (a, b), layers in (("4-3", "True", (1, 0.5), 3), ("5", "False", (0.25, -2), 2)):
        own = results.sel(hidden=text)
        assert (own.bias.item(), own.amplitudes.item()) == (bias, f"{a:g}, {b:g}")
        wave = a * np.sin(2 * np.pi * x) + b * np.sin(6 * np.pi * x)
        np.testing.assert_allclose(own.target[0], wave, atol=1e-5)
        assert np.isfinite(own.gradient_norm[0, 0]).sum() == layers


def test_a_lane_is_trained_again_by_its_text_or_its_value(store: Path, results: xr.Dataset) -> None:
    with pytest.warns(SweepWarning, match="trained again"):
        network = trained(store, experiment=EXPERIMENT, hidden=(4, 3), bias=True, seed=1)
    assert network.knobs == {"hidden": "4-3", "amplitudes": "1, 0.5", "bias": "True", "seed": "1"}
    assert [each["kernel"].shape for each in network.parameters.values()] == [(1, 4), (4, 3), (3, 1)]
    np.testing.assert_array_equal(network.predict(results.x.values), results.prediction.sel(hidden="4-3", seed=1)[-1])
    with pytest.raises(SweepError, match="unknown hidden '4-4'"):
        trained(store, experiment=EXPERIMENT, hidden="4-4", seed=1)


def test_a_figure_has_the_texts(results: xr.Dataset) -> None:
    made = plots.outcome(results, rows="hidden")
    axes = made.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["4-3", "5"]
