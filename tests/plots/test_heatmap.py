"""`sweep.plots.heatmap`: any two dimensions of an array; the same as a page's figure, and as a film."""

import importlib
import pkgutil
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, hatches, legend, mesh_of, texts
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.patches import PathPatch
from PIL import Image
from synthetic import AXES, ended, fitting, results, union

import sweep.plots
from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.page.specs.figure import KINDS, Figure
from sweep.plots import heatmap
from sweep.plots.drawing import style
from sweep.plots.drawing.scale import scale_of
from sweep.plots.gallery import draw_figures
from sweep.plots.registry import FIGURES, FILMS

SMALL = np.array([0.0, 1, 3, 10, 30, 100])
INF, NAN = np.inf, np.nan


def drawn(axes) -> np.ndarray:
    return np.ma.filled(mesh_of(axes).get_array().astype(float), NAN)


def rates(**kwargs):
    """Results that differ between all widths and learning rates, without the dimension frequency in the loss."""
    return results(AXES, epochs=SMALL, points=4, **kwargs)


# The package


def test_figures_are_imported_from_the_package_and_no_module_hides_one():
    for module in pkgutil.walk_packages(sweep.plots.__path__, "sweep.plots."):
        importlib.import_module(module.name)
        assert module.name.rpartition(".")[2] not in {*KINDS, "heatmap"}
    for name in KINDS:
        assert callable(getattr(sweep.plots, name)), name
    assert sweep.plots.curves is FIGURES["curves"]
    with pytest.raises(AttributeError, match="no attribute 'heat'"):
        sweep.plots.heat  # noqa: B018
    told = re.findall(r"^    from .* import (\w+) as \1$", Path(sweep.plots.__file__).read_text(), flags=re.MULTILINE)
    assert {*told} - {"matplotlib"} == {*KINDS}, "what an editor knows of them"


# What is drawn


def test_cells_are_medians_over_seeds_between_the_true_edges():
    ds = rates()
    figure = heatmap(ds.loss.sel(learning_rate=1e-3), x="epoch", y="width")
    (axes,) = axes_of(figure)
    np.testing.assert_allclose(drawn(axes), np.median(ds.loss.values[:, 1], axis=0))
    corners = mesh_of(axes).get_coordinates()
    np.testing.assert_allclose(corners[:, 0, 1], [-8, 40, 88])  # 16 and 64: two widths tell no ratio
    np.testing.assert_allclose(corners[0, 1:, 0], scale_of(ds["epoch"]).edges[1:])
    np.testing.assert_allclose(corners[0, 2:5, 0], np.sqrt([1 * 3, 3 * 10, 10 * 30]))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "width")
    assert "Median over 5 seeds of the training loss" in texts(figure)


@pytest.mark.parametrize(
    ("variable", "x", "y", "facet"),
    [
        ("spectral_error", "epoch", "frequency", "width"),
        ("spectral_error", "frequency", "width", None),
        ("spectral_error", "width", "epoch", "frequency"),
        ("spatial_error", "x", "epoch", None),
        ("spatial_error", "epoch", "x", "width"),
        ("loss", "width", "epoch", None),
        ("loss", "seed", "epoch", None),
        ("loss", "epoch", "width", "seed"),
    ],
)
def test_any_two_dimensions_of_any_variable(variable, x, y, facet):
    ds = rates().isel(learning_rate=1, drop=True)
    keep = {x, y, facet, "seed"}
    array = ds[variable].isel({dim: -1 for dim in ds[variable].dims if dim not in keep})
    panels = axes_of(heatmap(array, x=x, y=y, facet=facet))
    assert len(panels) == (1 if facet is None else ds.sizes[facet])
    reduced = array if "seed" in (x, y, facet) else array.median("seed")
    for index, axes in enumerate(panels):
        expected = reduced if facet is None else reduced.isel({facet: index})
        np.testing.assert_allclose(drawn(axes), expected.transpose(y, x), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    ("statistic", "share"),
    [("median", 0.5), ("lower quartile", 0.25), ("upper quartile", 0.75), ("lowest", 0), ("highest", 1)],
)
def test_the_statistic_over_seeds_is_the_one_named(statistic, share):
    ds = rates().isel(learning_rate=0)
    figure = heatmap(ds.loss, x="epoch", y="width", statistic=statistic)
    np.testing.assert_allclose(drawn(axes_of(figure)[0]), np.quantile(ds.loss.values, share, axis=0), rtol=1e-6)
    assert f"{statistic.capitalize()} over 5 seeds" in texts(figure)


@pytest.mark.parametrize(("statistic", "expected"), [("lowest", 1.0), ("median", INF), ("highest", INF)])
def test_a_lost_seed_counts_as_infinite_in_every_statistic(statistic, expected):
    array = xr.DataArray([[1.0], [INF], [INF]], {"seed": range(3), "a": [1.0]}, ("seed", "a")).expand_dims(b=[1.0, 2.0])
    (axes,) = axes_of(heatmap(array, x="a", y="b", statistic=statistic))
    np.testing.assert_array_equal(drawn(axes), np.full((2, 1), expected if expected == 1 else NAN))
    assert hatches(axes) == ([] if expected == 1 else [style.HATCHES["diverged"][2]])


def test_the_title_names_the_best_cell_and_dimensions_of_one_value():
    ds = rates().isel(learning_rate=[1])
    array = ds.loss * 0 + 1
    array[{"width": 1, "epoch": 2}] = 0.5
    told = texts(heatmap(array.rename("loss"), x="epoch", y="width"))
    assert "The lowest median loss is 0.5, at width 64 and epoch 3" in told
    assert "At learning rate 0.001" in told
    assert "in 12 of 12 cells" in texts(heatmap((ds.loss * 0).rename("loss"), x="epoch", y="width"))
    high = texts(heatmap(array.rename("accuracy").drop_attrs(), x="epoch", y="width"))
    assert "The highest median accuracy is 1, in 11 of 12 cells" in high


# What must be chosen first


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"x": "epoch", "y": "width"}, r"leaves learning_rate \(3 values\): .*\.sel\(learning_rate=0.0001\), or facet"),
        ({"x": "epoch", "y": "widht"}, "unknown dimension 'widht': did you mean 'width'"),
        ({"x": "epoch", "y": "epoch"}, "name different dimensions"),
        ({"x": "epoch", "y": "width", "facet": "width"}, "name different dimensions"),
        ({"x": "epoch", "y": "width", "statistic": "mode"}, "unknown statistic over seeds 'mode'"),
    ],
)
def test_an_incomplete_choice_is_refused_in_one_line(kwargs, message):
    with pytest.raises(SweepError, match=message) as told:
        heatmap(rates().loss, **kwargs)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([["a", "b"]]), "'value' holds no numbers but <U1"),
        (np.array([[1j]]), "holds no numbers but complex128"),
        (np.empty((0, 3)), "'value' holds nothing"),
    ],
)
def test_what_holds_no_real_numbers_is_refused(array, message):
    with pytest.raises(SweepError, match=message):
        heatmap(xr.DataArray(array, dims=("a", "b")), x="b", y="a")


def test_dimensions_without_labels_are_counted():
    array = xr.DataArray(np.arange(6).reshape(1, 2, 3), dims=("c", "a", "b"), coords={"a": ["p", "q"]})
    (axes,) = axes_of(heatmap(array, x="b", y="a"))
    np.testing.assert_array_equal(drawn(axes), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(mesh_of(axes).get_coordinates()[0, :, 0], [-0.5, 0.5, 1.5, 2.5])
    with pytest.raises(SweepError, match=r"leaves a \(2 values\): .*sel\(a='p'\)"):
        heatmap(array, x="b", y="c")


def test_two_dimensions_that_are_left_are_both_named_with_their_sizes():
    with pytest.raises(SweepError, match=r"leaves learning_rate \(3 values\) and frequency \(5 values\): choose one"):
        heatmap(rates().spectral_error, x="epoch", y="width")


# Unions


def test_the_facet_of_a_union_groups_its_lanes_and_each_panel_has_its_own_rows():
    ds = union(epochs=SMALL).isel(point=slice(4, 11))  # one momentum
    figure = heatmap(ds.loss, x="epoch", y="learning_rate", facet="optimizer")
    first, second = axes_of(figure)
    np.testing.assert_allclose(drawn(first), np.median(ds.loss.values[:, :4], axis=0), atol=1e-30)
    np.testing.assert_allclose(drawn(second), np.median(ds.loss.values[:, 4:], axis=0), atol=1e-30)
    np.testing.assert_allclose(mesh_of(first).get_coordinates()[:, 0, 1], 10.0 ** np.arange(-3.5, 1))
    np.testing.assert_allclose(mesh_of(second).get_coordinates()[:, 0, 1], 10.0 ** np.arange(-4.5, -1))
    assert [axes.get_title() for axes in (first, second)] == ["optimizer sgd", "optimizer adam"]
    assert second.get_yticklabels()[0].get_visible(), "rows that differ are named in each panel"
    assert mesh_of(first).norm is mesh_of(second).norm


def test_two_knobs_of_a_union_are_laid_out_and_missing_combinations_have_not_run():
    ds = union(epochs=SMALL).isel(point=slice(8)).isel(point=[0, 1, 2, 3, 4, 5, 6], epoch=2)
    (axes,) = axes_of(heatmap(ds.loss, x="momentum", y="learning_rate"))
    expected = np.append(np.median(ds.loss.values, axis=0), NAN).reshape(2, 4).T
    np.testing.assert_allclose(drawn(axes), expected)
    assert hatches(axes) == [style.HATCHES["not_run"][2]]


def test_several_lanes_of_a_union_in_one_cell_are_refused_with_the_knobs_they_differ_in():
    with pytest.raises(SweepError, match=r"2 lanes along 'point' have learning_rate 0.001 and optimizer sgd: they"):
        heatmap(union().loss, x="epoch", y="learning_rate", facet="optimizer")
    with pytest.raises(SweepError, match=r"differ in momentum; .*\.isel\(point=ds.momentum == 0.0\)"):
        heatmap(union().loss, x="epoch", y="learning_rate", facet="optimizer")


def test_all_lanes_of_a_union_are_rows_in_words():
    (axes,) = axes_of(heatmap(union(epochs=SMALL).loss, x="epoch", y="point"))
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[0] == "sgd, learning rate 0.001, momentum 0"
    assert rows[-1] == "adam, learning rate 0.01"


# Cells without a number


def lost():
    """A row that diverges, one that is cut, one that has not run, and one in which only two of five seeds are lost."""
    axes = {"seed": range(5), "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1], "width": [16.0, 64.0]}
    ds = results(axes, epochs=SMALL, points=2)
    ds = ended(ds, labels.DIVERGED, ds.learning_rate == 1e-1, from_record=3)
    ds = ended(ds, labels.CUT, ds.learning_rate == 1e-4, from_record=2)
    ds = ended(ds, labels.NOT_RUN, ds.learning_rate == 1e-3)
    return ended(ds, labels.CUT, (ds.learning_rate == 1e-2) & (ds.seed < 2), from_record=2)


def covered(axes, kind, x, y) -> bool:
    patches = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    return any(
        each.get_hatch() == style.HATCHES[kind][2] and each.get_path().contains_point((x, y)) for each in patches
    )


def test_with_their_status_diverged_cut_and_unrun_cells_differ():
    ds = lost()
    figure = heatmap(ds.loss.sel(width=16), x="epoch", y="learning_rate", status=ds.status)
    (axes,) = axes_of(figure)
    expected = [("cut", 1e-4, 3), ("not_run", 1e-3, 3), ("diverged", 1e-1, 10)]
    for kind, rate, epoch in expected:
        for other in style.HATCHES:
            assert covered(axes, other, epoch, rate) == (other == kind), (kind, other)
    assert not any(covered(axes, kind, epoch, rate) for kind in style.HATCHES for epoch, rate in [(3, 0.1), (30, 0.01)])
    assert legend(figure) == ["median lane diverged", "median lane cut", "not run"]
    assert "Shown: 20 lanes, 5 diverged, 7 cut, 5 not run" in texts(figure)
    assert "a lost lane counted as +inf" in texts(figure)


def test_without_status_lost_lanes_are_infinite_and_nan_is_no_number():
    ds = lost().sel(width=16)
    figure = heatmap(stats.measured(ds, "loss"), x="epoch", y="learning_rate")
    (axes,) = axes_of(figure)
    assert covered(axes, "diverged", 10, 1e-1)
    assert covered(axes, "diverged", 3, 1e-4), "cut or diverged: the array does not say"
    assert covered(axes, "not_run", 3, 1e-3)
    assert legend(figure) == ["infinite: lost", "no number"]
    raw = heatmap(ds.loss, x="epoch", y="learning_rate")
    assert legend(raw) == ["no number"]
    assert "lanes" not in texts(raw)


def test_only_cut_cells_have_no_entry_for_diverged_ones():
    ds = ended(rates().isel(learning_rate=0), labels.CUT, True, from_record=2)
    assert legend(heatmap(ds.loss, x="epoch", y="width", status=ds.status)) == ["median lane cut"]


# Hard cases


def spread(values):
    """An array over two irregular axes, without seeds."""
    coords = {"a": [1.0, 2.0, 50.0], "b": [-1.0, 0.5, 0.6, 3.0]}
    return xr.DataArray(np.broadcast_to(values, (3, 4)).astype(float), coords, ("a", "b"), "loss")


HARD = {
    "one seed": lambda: rates().isel(seed=[0], learning_rate=0).loss,
    "no seed": lambda: rates().isel(seed=0, learning_rate=0, drop=True).loss,
    "one value on an axis": lambda: rates().isel(width=[0], learning_rate=0).loss,
    "one value on both axes": lambda: rates().isel(width=[0], learning_rate=0, epoch=[0]).loss,
    "all diverged": lambda: stats.measured(ended(rates(), labels.DIVERGED, True), "loss").isel(learning_rate=0),
    "nothing run": lambda: stats.measured(ended(rates(), labels.NOT_RUN, True), "loss").isel(learning_rate=0),
    "half not run": lambda: stats.measured(
        ended(rates(), labels.NOT_RUN, xr.DataArray([True, False], dims="width")), "loss"
    ).isel(learning_rate=0),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", HARD)
def test_hard_cases_are_drawn(case):
    array = HARD[case]()
    figure = heatmap(array, x="epoch", y="width")
    figure.draw_without_rendering()
    (axes,) = axes_of(figure)
    values = array.expand_dims("seed") if "seed" not in array.dims else array
    expected = np.median(values.transpose("seed", "width", "epoch").values, axis=0)
    np.testing.assert_allclose(drawn(axes), np.where(np.isfinite(expected), expected, NAN))
    corners = mesh_of(axes).get_coordinates()
    assert corners.shape == (array.sizes["width"] + 1, array.sizes["epoch"] + 1, 2)
    assert np.isfinite(corners).all()
    assert "nan" not in texts(figure).lower().split()
    gone = {"all diverged": "diverged", "nothing run": "not_run", "half not run": "not_run"}
    assert hatches(axes) == [style.HATCHES[gone[case]][2] for _ in range(case in gone)]


def test_numbers_are_printed_only_if_the_narrowest_cell_has_space():
    values = np.arange(12.0).reshape(3, 4)
    even = xr.DataArray(values, {"a": [0, 1, 2], "b": [0, 1, 2, 3]}, ("a", "b"))
    (axes,) = axes_of(heatmap(even, x="b", y="a"))
    assert len(axes.texts) == 12
    (axes,) = axes_of(heatmap(even.assign_coords(b=[-3, 0, 1, 100]), x="b", y="a"))
    assert not axes.texts


def test_irregular_axes_have_edges_halfway_between_their_values():
    (axes,) = axes_of(heatmap(spread(np.arange(1.0, 13).reshape(3, 4)), x="b", y="a"))
    corners = mesh_of(axes).get_coordinates()
    np.testing.assert_allclose(corners[:, 0, 1], np.array([2**-0.5, 2**0.5, 10, 250]))  # ratios: geometric midpoints
    np.testing.assert_allclose(corners[0, :, 0], [-1.75, -0.25, 0.55, 1.8, 4.2])
    np.testing.assert_array_equal(drawn(axes), np.arange(1, 13).reshape(3, 4))


def test_zeros_under_a_logarithmic_scale_lie_beyond_its_low_end_and_are_no_holes():
    (axes,) = axes_of(heatmap(spread([0.0, 1e-3, 1.0, 10.0]), x="b", y="a"))
    mesh = mesh_of(axes)
    assert isinstance(mesh.norm, LogNorm)
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((1e-3, 10))
    assert not np.ma.getmaskarray(mesh.get_array()).any()
    assert mesh.norm(mesh.get_array())[0, 0] < 0
    assert hatches(axes) == []
    assert [text.get_text() for text in axes.texts[:2]] == ["0", "0.001"]


def test_negative_values_get_a_linear_scale():
    (axes,) = axes_of(heatmap(spread([-5.0, 0.0, 1e-3, 100.0]), x="b", y="a"))
    mesh = mesh_of(axes)
    assert not isinstance(mesh.norm, LogNorm)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-5, 100)
    np.testing.assert_array_equal(drawn(axes)[0], [-5, 0, 1e-3, 100])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "name", ["learning_rate_epoch", "epochs_to_converge", "loss_curves", "space_epoch", "metric_epoch"]
)
@pytest.mark.parametrize(
    "change", [lambda a: a * 0, lambda a: -a, lambda a: a - a.mean()], ids=["zero", "negative", "both"]
)
def test_zero_and_negative_values_are_drawn_by_every_figure_with_a_logarithmic_scale(name, change):
    ds = rates()
    for variable in ("loss", "spatial_error"):
        ds[variable] = change(ds[variable]).assign_attrs(ds[variable].attrs)
    figure = FIGURES[name](ds)
    for axes in axes_of(figure):
        for mesh in (each for each in axes.collections if isinstance(each, QuadMesh)):
            colours = mesh.cmap(mesh.norm(mesh.get_array()))
            assert np.isfinite(colours).all()
            holes = np.ma.getmaskarray(mesh.get_array()).sum()
            assert holes == 0 or name == "epochs_to_converge"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*FIGURES, *FILMS])
@pytest.mark.parametrize("case", ["one seed", "irregular axes"])
def test_every_figure_on_one_seed_and_on_irregular_axes(name, case):
    ds = rates()
    ds = ds.isel(seed=[0]) if case == "one seed" else ds.assign_coords(learning_rate=[0.0, 1e-3, 0.5], width=[3.0, 4.0])
    figure = {**FIGURES, **FILMS}[name](fitting(name, ds), **({"at_most": 0.5} if name == "share" else {}))
    if name in FILMS:
        assert len({image.size for image in figure.images()}) == 1
        return
    for axes in axes_of(figure):
        assert axes.has_data()
        for mesh in (each for each in axes.collections if isinstance(each, QuadMesh)):
            corners = mesh.get_coordinates()
            assert (np.diff(corners[0, :, 0]) > 0).all()
            assert (np.diff(corners[:, 0, 1]) > 0).all()


def test_a_film_of_one_swept_dimension_is_refused():
    with pytest.raises(SweepError, match="'heatmap_film' needs two swept dimensions; here only 'width' varies"):
        FILMS["heatmap_film"](rates().isel(learning_rate=[0]))
    with pytest.raises(SweepError, match="here only 'point' varies"):
        FILMS["heatmap_film"](union(epochs=SMALL), x="point")
    with pytest.raises(SweepError, match="here nothing varies"):
        FILMS["heatmap_film"](results({"seed": range(2)}, epochs=SMALL))


@pytest.mark.parametrize("options", [{"facet": "epoch"}, {"y": "epoch"}])
def test_what_is_across_by_default_is_drawn_once(options):
    with pytest.raises(SweepError, match="'epoch' as x, y and facet: name different dimensions"):
        FIGURES["heatmap"](rates(), **options)


def test_a_knob_is_not_drawn_against_the_points_it_lies_along():
    ds = union(epochs=SMALL)
    for draw in (
        lambda: FIGURES["heatmap"](ds, x="point", y="optimizer"),
        lambda: FIGURES["heatmap"](ds, x="epoch", y="optimizer", facet="point"),
        lambda: FIGURES["outcome"](ds, rows="point", columns="momentum"),
        lambda: heatmap(ds.loss.isel(epoch=-1), x="point", y="learning_rate"),
    ):
        with pytest.raises(SweepError, match="lies along 'point', so one can't be drawn against the other"):
            draw()


@pytest.mark.parametrize("name", ["heatmap", "outcome"])
def test_each_point_of_a_union_is_a_row_if_points_are_named(name):
    ds = union(epochs=SMALL[:4])
    rows = {"y": "point"} if name == "heatmap" else {"rows": "point"}
    (axes,) = axes_of(FIGURES[name](ds, **rows))
    medians = np.median(ds.loss.values, axis=0)
    expected = medians if name == "heatmap" else medians[:, -1:]
    np.testing.assert_allclose(drawn(axes), expected)


@pytest.mark.parametrize("draw", [lambda ds, **names: heatmap(ds.loss, **names), FIGURES["heatmap"]])
def test_a_facet_groups_the_points_of_a_union(draw):
    ds = union(epochs=SMALL[:4])
    first, second = axes_of(draw(ds, x="epoch", y="point", facet="optimizer"))
    np.testing.assert_allclose(drawn(first), np.median(ds.loss.values[:, :8], axis=0))
    np.testing.assert_allclose(drawn(second), np.median(ds.loss.values[:, 8:], axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FIGURES, *FILMS])
def test_a_hundred_thousand_lanes_take_less_than_two_seconds(name):
    axes = {"seed": range(10), "learning_rate": np.geomspace(1e-5, 1, 100), "width": np.arange(1.0, 101)}
    ds = results(axes, frequencies=[1.0, 2.0], epochs=SMALL, points=8)
    start = time.process_time()
    {**FIGURES, **FILMS}[name](ds, **({"at_most": 0.5} if name == "share" else {}))
    assert time.process_time() - start < 2


def test_a_runaway_lane_is_drawn_beyond_a_scale_that_ends_at_ten_times_the_beginning():
    ds = rates().isel(learning_rate=0)
    array = ds.loss.copy()
    array[{"width": 0, "epoch": 3}] = 1e9
    mesh = mesh_of(axes_of(heatmap(array, x="epoch", y="width"))[0])
    assert mesh.norm.vmax == pytest.approx(10 * float(np.median(ds.loss[{"epoch": 0}])))
    assert mesh.get_array()[0, 3] == 1e9


@pytest.mark.parametrize(("value", "printed"), [(0.5, True), (1.23456e-22, False)])
def test_numbers_stand_in_the_cells_of_a_narrow_sheet_only_where_they_fit(value, printed):
    cells = xr.DataArray(np.full((2, 5), value), {"a": [1.0, 2.0], "b": np.arange(5.0)}, ("a", "b"), "loss")
    assert len(axes_of(heatmap(cells, x="b", y="a"))[0].texts) == 10
    with style.use_print_settings():
        assert len(axes_of(heatmap(cells, x="b", y="a"))[0].texts) == 10 * printed


# As a page's figure


def test_a_page_s_heatmap_takes_the_best_learning_rate_as_the_other_figures_do():
    ds = rates()
    figure = FIGURES["heatmap"](ds, metric="loss", x="epoch", y="width")
    best = [ds.loss.sel(width=width, learning_rate=1e-2).values for width in (16, 64)]
    np.testing.assert_allclose(drawn(axes_of(figure)[0]), [np.median(each, axis=0) for each in best])
    assert "At each width's best learning rate" in texts(figure)
    assert "Page: synthetic/page" in texts(figure)


def test_a_page_s_heatmap_without_epochs_shows_the_last_record():
    ds = rates()
    figure = FIGURES["heatmap"](ds, x="learning_rate", y="width")
    (axes,) = axes_of(figure)
    np.testing.assert_allclose(drawn(axes), np.median(ds.loss.values[..., -1], axis=0).T)
    assert "At the last record, epoch 100" in texts(figure)
    assert len(axes.texts) == 6, "with the number in each cell"


def test_a_page_s_heatmap_is_of_any_metric_and_facet():
    ds = rates().isel(learning_rate=1, drop=True)
    figure = FIGURES["heatmap"](ds, metric="spectral_error", y="width", facet="frequency")
    for index, axes in enumerate(axes_of(figure)):
        np.testing.assert_allclose(drawn(axes), np.median(ds.spectral_error.values[..., index], axis=0), rtol=1e-6)
    with pytest.raises(SweepError, match=r"'heatmap' of 'spectral_error' leaves frequency \(5 values\): make it x, y"):
        FIGURES["heatmap"](ds, metric="spectral_error", y="width")
    with pytest.raises(SweepError, match="unknown dimension 'loss'"):
        FIGURES["heatmap"](ds, y="loss")


def test_a_page_s_heatmap_of_a_union_has_each_part_at_its_best():
    ds = union(epochs=SMALL)
    figure = FIGURES["heatmap"](ds, metric="loss", x="epoch", y="learning_rate", facet="optimizer")
    first, second = axes_of(figure)
    quicker = ds.loss.values[:, 4:8]  # momentum 0.9
    np.testing.assert_allclose(drawn(first)[0], np.median(quicker, axis=0)[0])
    np.testing.assert_allclose(drawn(second), np.median(ds.loss.values[:, 8:], axis=0))
    assert "best combination (lowest median final loss)" in texts(figure)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("heatmap", {"x": "epoch", "y": "epoch"}, "'epoch' and 'epoch': name different dimensions"),
        ("heatmap", {"statistic": "mean"}, "unknown statistic of figure 'heatmap' 'mean'"),
        ("heatmap", {"x": 3.0}, "x of figure 'heatmap' must be a name"),
        ("heatmap", {"rows": "width"}, "it takes metric, x, y, facet, statistic"),
        ("heatmap_film", {"x": "epoch"}, "must be a swept dimension, not 'epoch'"),
        ("heatmap_film", {"metric": "spectral_error"}, "must be a single number per record"),
    ],
)
def test_options_of_heatmaps_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(SweepError, match=message):
        Figure(name, options)


# The film


def test_each_frame_of_the_film_shows_the_medians_of_its_record():
    ds = lost()
    film = FILMS["heatmap_film"](ds, x="width", y="learning_rate")
    assert film.frames == len(SMALL)
    values = stats.measured(ds, "loss").values
    for frame in (0, 2, 5):
        artists = film.draw(frame)
        (mesh,) = (each for each in artists if isinstance(each, QuadMesh))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.median(values[..., frame], axis=0)
        got = np.ma.filled(mesh.get_array(), NAN)
        np.testing.assert_allclose(got, np.where(np.isfinite(expected), expected, NAN))
        kinds = {each.get_hatch() for each in artists if isinstance(each, PathPatch)}
        present = {0: ["not_run"], 2: ["not_run", "cut"], 5: ["not_run", "cut", "diverged"]}[frame]
        assert kinds == {style.HATCHES[kind][2] for kind in present}
        assert artists[-1].get_text() == f"epoch {SMALL[frame]:g}"
        for artist in artists:
            artist.remove()
    assert legend(film.figure) == ["median lane diverged", "median lane cut", "not run"]
    assert "At epoch 100 the lowest median loss" in texts(film.figure)


def test_the_film_is_one_small_gif_on_white_of_one_scale(tmp_path):
    ds = results({"seed": [0, 1], "learning_rate": np.geomspace(1e-4, 1, 12), "width": 2.0 ** np.arange(8)}, points=2,
                 epochs=np.arange(90.0))  # fmt: skip
    (path,) = draw_figures(ds, [Figure("heatmap_film")], tmp_path)
    assert path.name == "heatmap_film.gif"
    assert path.stat().st_size < 500_000
    with Image.open(path) as film:
        assert film.n_frames == 60
        first = np.asarray(film.convert("L"), dtype=int)
        film.seek(59)
        last = np.asarray(film.convert("L"), dtype=int)
    assert first[2, -3] == 255
    assert 0.2 < (first != last).mean() < 0.8, "cells change, words and colour bar stand still"
    assert (first != last)[:, -first.shape[1] // 12 :].sum() == 0
    exact = np.asarray(FILMS["heatmap_film"](ds).images()[-1].convert("L"), dtype=int)
    assert abs(last - exact).mean() < 1, "its colours are those of the map"


def test_a_dataset_is_no_array():
    with pytest.raises(SweepError, match=r"^heatmap draws one array, such as ds.loss, got a Dataset$"):
        heatmap(results(AXES), x="epoch", y="width")
