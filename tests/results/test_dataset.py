"""What `open_results` returns: coordinates of one type however they were typed, one x, and no incomplete lanes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny

from sweep import MLP, Metric, Record, SweepError, grid, log_spaced, open_results, run_sweep, zipped
from sweep.base.labels import DIMENSIONS, METRICS, RECORDED, RUNNING
from sweep.page.specs.knobs import knobs_of
from sweep.results import store as stores
from sweep.specs import FromFunction, FromModule, Linear, Optimizer, Sine, SumOfSines, Table

EVERYTHING = Record(at=log_spaced(3), snapshots=2)
SPECS = (type(tiny()), Sine, SumOfSines, Linear, FromFunction, Table, MLP, FromModule, Optimizer)


@pytest.mark.parametrize("spec", SPECS)
def test_no_knob_has_the_name_of_a_variable_or_dimension_of_results(spec: type) -> None:
    assert not set(knobs_of(spec)) & {*DIMENSIONS, *METRICS, *RECORDED}


def test_the_loss_can_be_swept_under_another_name() -> None:
    axes = grid(loss_function=("mean_squared", "summed_squared"))
    ds = run_sweep(tiny(model=MLP(depth=0), axes=axes))
    start = ds.loss.isel(epoch=0)
    np.testing.assert_allclose(start.sel(loss_function="summed_squared"), 16 * start[0], rtol=1e-5)


def test_numbers_are_float64_coordinates_and_seeds_int64_however_they_were_typed() -> None:
    axes = grid(seed=(0,), noise=(0, 1)) + grid(data_seed=(3,), width=(6,))
    ds = run_sweep(tiny(model=MLP(width=6, depth=1), axes=axes))
    assert ds.noise.dtype == np.float64
    assert ds.seed.dtype == ds.data_seed.dtype == np.int64


def test_seeds_that_go_together_are_the_dimension_seed_in_either_order() -> None:
    for axes in (zipped(seed=(4, 5), data_seed=(1, 2)), zipped(data_seed=(1, 2), seed=(4, 5))):
        assert axes.dimensions() == ("seed",)
    assert zipped(data_seed=(1, 2), seed=(4, 4)).dimensions() == ("point",)
    assert zipped(width=(4, 8), seed=(0, 1)).dimensions() == ("width",)  # or medians would be over widths


@pytest.mark.slow
def test_lanes_of_other_points_and_placement_are_shown_over_the_pages_x() -> None:
    task = SumOfSines(frequencies=(1, 2), phases=(0.0, 0.5), points=16)
    axes = grid(points=(8, 24), placement=("grid", "grid_with_end", "random"))
    ds = run_sweep(tiny(task=task, axes=axes, record=EVERYTHING))
    x = np.arange(16) / 16
    np.testing.assert_array_equal(ds.x, x)
    target = np.sin(2 * np.pi * x) + np.sin(4 * np.pi * x + 0.5)
    np.testing.assert_allclose(ds.target, np.broadcast_to(target, ds.target.shape), atol=1e-5)
    assert np.isfinite(ds.prediction).all()
    shown = ds.spatial_error.sel(epoch=ds.snapshot_epoch.values).values
    np.testing.assert_allclose(shown, np.abs(ds.prediction.values - ds.target.values[..., None, :]), atol=1e-5)


def test_a_metric_over_x_sees_the_pages_x_whatever_the_lane_is_trained_on() -> None:
    own = Metric("place", lambda moment: moment.x, dims=("x",))
    record = Record((), (own,), at=log_spaced(2), snapshots=0)
    ds = run_sweep(tiny(model=MLP(depth=0), axes=grid(points=(8, 24)), record=record))
    np.testing.assert_allclose(ds.place, np.broadcast_to(ds.x, ds.place.shape), atol=1e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "store"
    never = Metric("undefined_at_first", lambda moment: moment.loss / moment.step * moment.step)
    record = replace(EVERYTHING, metrics=("spectral_error", "gradient_norm"), own=(never,))
    run_sweep(tiny(axes=grid(seed=(0, 1)), record=record), out=path)
    return path


def test_the_loss_is_recorded_though_the_page_names_other_metrics_only(whole: Path) -> None:
    ds = open_results(whole)
    assert {"loss", "spectral_error"} <= set(ds.data_vars)
    assert "parameter_norm" not in ds
    assert np.isfinite(ds.loss).all()


@pytest.mark.parametrize("name", ["loss", "spectral_error", "gradient_norm", "prediction", "undefined_at_first"])
def test_a_deleted_folder_of_chunks_is_noticed(whole: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "store"
    shutil.copytree(whole, path)
    assert open_results(path).attrs["complete"]
    shutil.rmtree(path / name / "c")
    with pytest.raises(SweepError, match=f"is damaged: {name}/c/0/.* is lost"):
        open_results(path)


def test_lanes_of_a_wave_without_complete_digests_count_as_running(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(whole, path)
    (path / "digests" / "wave-0000000000.json").unlink()
    with pytest.raises(SweepError, match=r"is damaged: digests/wave-0000000000\.json is lost"):
        open_results(path)
    stores.Store(path).set_attributes(complete=False)
    stores.Store(path).mark_running(0, stores.read(whole).lane.size, 0, {})  # killed before it was sealed
    assert (open_results(path).status == RUNNING).all()
