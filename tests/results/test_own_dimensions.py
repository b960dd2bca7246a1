"""Metrics with dimensions of their own, from the page to the store and to everything that reads it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from helpers import tiny

from sweep import stats
from sweep.axes import grid
from sweep.base.errors import SweepError
from sweep.compare.summary import compare
from sweep.export import cells, netcdf, tidy
from sweep.files.atomic_files import make_temporary_folder
from sweep.page.restore import restore
from sweep.plots.figures.comparison import comparison
from sweep.plots.figures.heatmaps import heatmap
from sweep.plots.gallery import choose_figures, draw_figures
from sweep.report.cells import embed
from sweep.results import store as stores
from sweep.results.dataset import open_results
from sweep.results.distance import distances
from sweep.results.lane_choice import read_lane
from sweep.runs.replay import replay
from sweep.runs.runner import run_sweep
from sweep.specs import MLP, Dimension, Figure, Metric, Optimizer, Record, linear_spaced

MODES, SHARES = (4, 1, 2), (0.25, 0.75)


def powers(moment: Any) -> Any:
    """Give |loss|^k for three k, and quantiles of each layer's gradient."""
    exponents = jnp.array(MODES, moment.loss.dtype)
    layers = [jnp.concatenate([each["kernel"].ravel(), each["bias"]]) for each in moment.gradient_by_layer]
    quantiles = jnp.stack([jnp.quantile(jnp.abs(each), jnp.array(SHARES)) for each in layers])
    return {"powers": moment.loss**exponents, "quantiles": quantiles, "doubled": 2 * moment.loss}


OWN = (
    Metric("powers", powers, dims=(Dimension("mode", MODES, units="1", long_name="exponent k"),), units="V"),
    Metric("quantiles", powers, dims={"layer": None, "quantile": SHARES}, better="lower"),
    Metric("doubled", powers),
)
EXPERIMENT = tiny(
    axes=grid(seed=range(8), learning_rate=(0.05, 1e30)), optimizer=Optimizer("sgd"), model=MLP(width=3, depth=1),
    record=Record(metrics=("loss",), own=OWN, at=linear_spaced(2), snapshots=0),
)  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "store"
    run_sweep(EXPERIMENT, out=path)
    return path


@pytest.fixture(scope="module")
def ds(path: Path) -> xr.Dataset:
    return open_results(path)


def test_values_have_their_dimensions_and_these_their_coordinates_and_labels(ds: xr.Dataset) -> None:
    assert dict(ds.powers.sizes) == {"seed": 8, "learning_rate": 2, "epoch": 3, "mode": 3}
    assert ds.quantiles.dims[3:] == ("layer", "quantile")
    assert ds.mode.values.tolist() == [4, 1, 2]
    assert (ds.mode.dtype, ds["quantile"].dtype) == (np.int64, np.float64)
    assert ds.mode.attrs == {"units": "1", "long_name": "exponent k"}
    assert ds["quantile"].attrs == {"units": "1", "long_name": "quantile"}
    np.testing.assert_allclose(ds.powers.sel(mode=2), ds.loss**2, rtol=1e-5)
    np.testing.assert_array_equal(ds.doubled, 2 * ds.loss)
    finite = ds.quantiles.sel(learning_rate=0.05)
    assert (finite.isel(quantile=0) < finite.isel(quantile=1)).all()
    assert ds.powers.sel(learning_rate=1e30).isel(epoch=-1).isnull().all()


def test_a_replayed_lane_has_the_same_bits(path: Path) -> None:
    lane, _ = read_lane(path, {"seed": "3", "learning_rate": "0.05"})
    again = replay(EXPERIMENT, stores.check(path), int(lane.lane)).curves
    found = distances(lane, again)
    assert {each.name for each in found} == {"loss", "powers", "quantiles", "doubled", "target"}
    assert all(each.first_difference is None for each in found)


def test_tables_have_a_column_for_each_dimension(ds: xr.Dataset) -> None:
    tables = {table.name: table for table in tidy.tables(ds.drop_vars("target"), ("loss", "powers", "quantiles"))}
    assert tables.keys() == {"lanes", "epoch", "epoch_mode", "epoch_layer_quantile"}
    frame = next(tidy.frames(ds, tables["epoch_mode"]))
    assert frame.columns.tolist() == ["lane", "seed", "learning_rate", "status", "epoch", "mode", "step", "powers"]
    one = frame[(frame["mode"] == 1) & (frame["lane"] == 0)]
    np.testing.assert_array_equal(one["powers"], ds.powers.sel(mode=1)[0, 0])
    assert tidy.columns(ds, tables["epoch_mode"])["mode"] == {"units": "1", "long_name": "exponent k"}
    curves = next(iter(cells.cells(ds, ["powers"], lambda note: None))).curves
    assert curves.keys() == {"powers/mode_4", "powers/mode_1", "powers/mode_2"}


def test_netcdf_has_the_same_numbers(ds: xr.Dataset) -> None:
    with make_temporary_folder() as folder:
        netcdf.write_netcdf(ds, tidy.metrics(ds), folder / "a.nc", lambda note: None)
        read = xr.load_dataset(folder / "a.nc", engine="h5netcdf")
    for name in ("powers", "quantiles"):
        assert read[name].dims == ds[name].dims
        np.testing.assert_array_equal(read[name], ds[name])
    np.testing.assert_array_equal(read.mode, ds.mode)


def test_the_report_holds_every_dimension_in_rising_order(ds: xr.Dataset) -> None:
    about, held = embed(ds)
    assert about["variables"]["powers"]["dims"] == ["learning_rate", "seed", "epoch", "mode"]
    assert about["variables"]["quantiles"]["dims"][-2:] == ["layer", "quantile"]
    assert about["dims"]["mode"] | {"kind": "", "places": []} == {
        "name": "mode", "label": "exponent k", "kind": "", "texts": ["1", "2", "4"], "places": [],
        "values": [1.0, 2.0, 4.0], "swept": False,
    }  # fmt: skip
    assert "powers" in held.texts


def test_a_comparison_has_a_cell_for_each_entry_that_both_have(ds: xr.Dataset) -> None:
    other = ds.assign(powers=ds.powers * xr.where(ds["mode"] == 4, 100.0, 1.0)).sel(mode=[1, 4])
    found = compare({"a": ds.sel(learning_rate=[0.05]), "b": other.sel(learning_rate=[0.05])}, metric="powers")
    assert set(found.found["b"].dims) == {"epoch", "mode"}
    assert "mode: 2 shared, the last 1; there are 3 of a" in found.notes
    ratio = found.table[found.table["epoch"] > 0].groupby("mode")["ratio"].mean()
    np.testing.assert_allclose(ratio.to_numpy(), [1, 100], rtol=1e-5)


def test_each_metric_with_an_own_dimension_has_a_heatmap(ds: xr.Dataset, tmp_path: Path) -> None:
    figures = [figure for figure in choose_figures(ds) if figure.name == "heatmap"]
    assert [dict(figure.options) for figure in figures] == [
        {"metric": "powers", "y": "mode"}, {"metric": "quantiles", "y": "quantile", "facet": "layer"},
    ]  # fmt: skip
    written = draw_figures(ds, figures, tmp_path)
    assert [path.name for path in written] == ["heatmap.png", "heatmap.svg", "heatmap_2.png", "heatmap_2.svg"]
    text = written[1].read_text()
    assert "exponent k" in text
    assert "layer 1" in written[3].read_text()
    named = ds.assign_attrs(figures=json.dumps([{"name": "loss_curves"}]))
    assert [figure.name for figure in choose_figures(named)] == ["loss_curves"]


def test_a_page_may_name_its_own_dimension_in_a_figure() -> None:
    figure = Figure("heatmap", {"metric": "powers", "x": "mode", "y": "epoch"})
    assert replace(EXPERIMENT, figures=(figure,)).figures == (figure,)
    with pytest.raises(SweepError, match="needs 'modes', which this page neither sweeps nor records"):
        replace(EXPERIMENT, figures=(Figure("heatmap", {"metric": "powers", "x": "modes"}),))


def described(path: Path, tmp_path: Path, **dim: Any) -> Path:
    """Copy a store, and change what its description says of the dimension of its first metric."""
    shutil.copytree(path, tmp_path / "store")
    copy = stores.Store(tmp_path / "store")
    page = json.loads(open_results(path).attrs["experiment"])
    page["record"]["own"][0]["dims"][0].update(dim)
    copy.set_attributes(experiment=json.dumps(page))
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("other", "array mode: it lies along dimensions that results do not have"),
        ("loss", "a dimension of a metric can't be named loss"),
        ("epoch", "a dimension of a metric can't be named epoch"),
        ("seed", "seed is the name of an array and of a dimension"),
        ("../a", "'../a' is not a name for a dimension"),
        (3, "'3' is not a name for a dimension"),
    ],
)
def test_a_store_whose_dimensions_are_not_those_of_its_page_is_refused(
    path: Path, tmp_path: Path, name: Any, told: str
) -> None:
    with pytest.raises(SweepError, match=told):
        open_results(described(path, tmp_path, name=name))


def test_an_experiment_with_functions_of_its_page_is_not_rebuilt(ds: xr.Dataset) -> None:
    with pytest.raises(SweepError, match="uses code of its page, in a Metric"):
        restore(json.loads(ds.attrs["experiment"]))


@pytest.mark.parametrize("name", ["row", "column", "quantile", "part", "other", "cover", "inner", "end"])
def test_a_name_that_statistics_or_figures_could_use_themselves_is_no_trouble(ds: xr.Dataset, name: str) -> None:
    named = ds[["powers", "loss", "status"]].rename(mode=name).isel(learning_rate=[0])
    medians = stats.over_seeds(named["powers"])["median"]
    wanted = np.median(named["powers"].isel(learning_rate=0), axis=0)
    np.testing.assert_allclose(medians.squeeze("learning_rate"), wanted, rtol=1e-6)
    if name in ("row", "quantile"):
        heatmap(named.isel(learning_rate=0), metric="powers", x=name, y="epoch")
    if name in ("column", "part"):
        comparison(compare({"a": named, "b": named.assign(powers=2 * named["powers"])}, metric="powers"))
