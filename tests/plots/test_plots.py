"""Figures: cells, edges, hatches and texts as drawn, and every figure for every unusual store."""

import tracemalloc
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, hatches, legend, mesh_of, overlapping, texts
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from synthetic import AXES, EPOCHS, ended, fitting, results

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.base.text import make_visible
from sweep.page.specs.figure import KINDS
from sweep.plots import heatmap
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import draw_cells, draw_hatch, draw_step_line, log_norm, merge_cells, norm_of
from sweep.plots.drawing.scale import linear_edges, scale_of, sort_along
from sweep.plots.drawing.view import MOST_PANELS, view
from sweep.plots.gallery import save
from sweep.plots.registry import FIGURES, FILMS

SMALL = np.array([0.0, 1, 3, 10, 30, 100])


def coordinate(values, name="epoch", **attrs):
    return xr.DataArray(values, dims=name, coords={name: (name, values, attrs)})[name]


# Scales


def test_log_edges_are_geometric_midpoints():
    scale = scale_of(coordinate([1e-4, 1e-3, 1e-2, 1e-1]))
    assert scale.kind == "log"
    np.testing.assert_allclose(scale.edges, 10.0 ** np.array([-4.5, -3.5, -2.5, -1.5, -0.5]))


def test_linear_edges_are_arithmetic_midpoints():
    scale = scale_of(coordinate([5.0, 10, 15, 20]))
    assert scale.kind == "linear"
    np.testing.assert_allclose(scale.edges, [2.5, 7.5, 12.5, 17.5, 22.5])
    np.testing.assert_allclose(linear_edges(np.array([0.0, 1, 4])), [-0.5, 0.5, 2.5, 5.5])


@pytest.mark.parametrize("last", [10, 1000, 1e6])
def test_epoch_zero_on_a_log_axis_is_a_narrow_cell_at_the_left(last):
    scale = scale_of(coordinate(np.concatenate([[0.0], np.geomspace(1, last, 9)])))
    assert scale.kind == "log"
    assert scale.has_zero_cell
    assert (scale.edges > 0).all()
    assert (np.diff(scale.edges) > 0).all()
    assert scale.edges[1] == pytest.approx(last ** (-1 / 16))  # the lower edge of the cell at 1
    width = np.log(scale.edges[1] / scale.edges[0]) / np.log(scale.edges[-1] / scale.edges[1])
    assert 0.02 < width < 0.25
    assert scale.edges[0] < scale.centres[0] < scale.edges[1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([16.0, 32, 64, 128], "log"),
        ([1.0, 2, 3, 4, 5, 6, 7, 8], "linear"),
        ([0.0, 50, 100, 150, 200], "linear"),
        ([0.0, 0.01, 0.1, 1], "log"),
        ([-1.0, 0, 1], "linear"),
        ([64.0], "linear"),
        ([0.0], "linear"),
        ([1e-4, 1e-2], "log"),
        ([1.0, 2.0], "linear"),
        (["relu", "tanh"], "category"),
        ([1.0, 2, 50], "log"),
    ],
)
def test_the_kind_of_scale_follows_the_steps(values, kind):
    scale = scale_of(coordinate(values))
    assert scale.kind == kind
    assert len(scale.edges) == len(values) + 1
    assert (np.diff(scale.edges) > 0).all()


def test_ticks_stand_in_the_cells_of_their_values_and_do_not_collide():
    axes = Figure(figsize=(3, 3)).subplots()
    scale_of(coordinate(np.concatenate([[0.0], np.geomspace(1, 1e4, 50)]))).apply(axes.xaxis)
    labelled = [text.get_text() for text in axes.get_xticklabels()]
    assert labelled == ["0", "1", "10", "100", "1000", "10000"]
    scale_of(coordinate([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).apply(axes.yaxis)
    assert [text.get_text() for text in axes.get_yticklabels()] == [str(each) for each in range(1, 13)]
    np.testing.assert_array_equal(axes.get_yticks(), range(1, 13))
    assert axes.get_ylim() == (0.5, 12.5)


def test_padding_is_left_out_and_the_rest_sorted():
    array = xr.DataArray([3.0, 1, 9, 2], dims="x", coords={"x": [0.3, 0.1, np.nan, 0.2]})
    np.testing.assert_array_equal(sort_along(array, "x"), [1, 2, 3])


def test_units_are_printed_unless_they_say_nothing():
    label = {
        name: style.label(coordinate([1.0, 2], name, **quantity.attributes()))
        for name, quantity in labels.DIMENSIONS.items()
    }
    assert label["epoch"] == "epoch"
    assert label["frequency"] == "frequency (cycles per unit of x)"
    assert label["x"] == "x"
    assert style.label(coordinate([1.0], "learning_rate")) == "learning rate"


def test_numbers_are_short_and_zero_has_no_sign():
    values = (64.0, 1e-3, 1e-5, 1250.4, -0.0, 0.12345, "relu", True)
    expected = ["64", "0.001", "1e-05", "1250", "0", "0.123", "relu", "True"]
    assert [style.format_number(each) for each in values] == expected


# One heatmap


def test_a_heatmap_draws_its_cells_between_its_edges():
    values = np.array([[1.0, 0.5, np.inf], [0.8, np.nan, 0.1]])
    cells = xr.DataArray(values, {"frequency": [1.0, 2.0], "epoch": [1.0, 10.0, 100.0]}, ("frequency", "epoch"))
    down, across = scale_of(cells["frequency"]), scale_of(cells["epoch"])
    axes = Figure().subplots()
    mesh = draw_cells(axes, cells, down, across, norm=Normalize(0, 1), cmap=style.lower_better_colours())
    np.testing.assert_array_equal(mesh.get_array().mask, ~np.isfinite(values))
    np.testing.assert_array_equal(mesh.get_array().compressed(), values[np.isfinite(values)])
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], 10.0 ** np.array([-0.5, 0.5, 1.5, 2.5]))
    np.testing.assert_allclose(corners[:, 0, 1], [0.5, 1.5, 2.5])
    assert mesh.get_rasterized()
    assert axes.get_xscale() == "log"


def test_zero_under_a_log_norm_is_drawn_as_beyond_the_low_end():
    cells = xr.DataArray([[0.0, 1.0]], {"a": [1.0], "b": [1.0, 2.0]}, ("a", "b"))
    mesh = draw_cells(
        Figure().subplots(),
        cells,
        *(scale_of(cells[d]) for d in "ab"),
        norm=LogNorm(0.1, 1),
        cmap=style.lower_better_colours(),
    )
    colours = mesh.cmap(mesh.norm(mesh.get_array()))
    np.testing.assert_allclose(colours[0, 0], matplotlib.colors.to_rgba("#fff7a8"))
    assert not np.ma.getmaskarray(mesh.get_array()).any()


def test_hatched_boxes_cover_exactly_the_given_cells():
    where = xr.DataArray(
        [[True, True, False], [False, True, False]], {"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]}, ("a", "b")
    )
    patch = draw_hatch(Figure().subplots(), where, scale_of(where["a"]), scale_of(where["b"]), "diverged")
    for (row, column), inside in np.ndenumerate(where.values):
        assert patch.get_path().contains_point((column + 1, row + 1)) == inside
    assert (
        draw_hatch(Figure().subplots(), where & False, scale_of(where["a"]), scale_of(where["b"]), "censored") is None
    )


def test_the_step_line_runs_at_the_left_edge_of_the_cell_and_breaks_where_there_is_none():
    across, down = scale_of(coordinate([0.0, 10, 20, 30])), scale_of(coordinate([1.0, 2, 3], "frequency"))
    axes = Figure().subplots()
    draw_step_line(axes, xr.DataArray([10.0, 30.0, np.inf], dims="frequency"), down, across)
    x, y = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, [5, 5, 25, 25, np.nan, np.nan])
    np.testing.assert_array_equal(y, [0.5, 1.5, 1.5, 2.5, 2.5, 3.5])


@pytest.mark.parametrize(
    ("values", "highest", "low", "high"),
    [
        ([1e-3, 10.0, np.inf, np.nan, 0.0], np.inf, 1e-3, 10),
        ([1e-3, 1e20], 5.0, 1e-3, 5),
        ([1e-30, 1.0], np.inf, 1e-10, 1),
        ([2.0, 2.0], np.inf, 1, 4),
        ([0.0, np.nan], np.inf, 0.1, 1),
        # A few far out do not stretch a scale, and are beyond it; of two cells none is few.
        ([*np.geomspace(1e-3, 1, 100), *[1e300] * 4], np.inf, 1e-3, 0.869749),
        ([*np.geomspace(1e-3, 1, 100), *[800.0] * 4], np.inf, 1e-3, 800),
        ([1e-3, 1.0], np.inf, 1e-3, 1),
        # Ten decades below the top there would be but 40% of the cells: all of them from 5% on have colours.
        ([*np.geomspace(1e-3, 1, 60), *[1e300] * 40], np.inf, 1.795714e-3, 1e250),
    ],
)
def test_log_norms_span_what_is_positive_and_finite(values, highest, low, high):
    norm = log_norm([xr.DataArray(values)], highest=highest)
    assert (norm.vmin, norm.vmax) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([-1.0, 0.5, np.inf, np.nan], -1, 0.5),
        ([*np.linspace(-1, 1, 100), 15.0], -1, 15),  # within ten times what 90% of the cells span
        ([*np.linspace(-1, 1, 100), *[1e300] * 4], -1, 0.98),
        ([*np.linspace(-1, 1, 100), *[-1e300] * 4], -0.98, 1),
        ([*[0.0] * 100, -1e300], -1e250, 0),  # all others are one number: any scale shows that
        ([-1.7e308, 1.7e308], -1e250, 1e250),
    ],
)
def test_linear_norms_span_what_most_cells_hold(values, low, high):
    norm = norm_of([xr.DataArray(values)])
    assert not isinstance(norm, LogNorm)
    assert (norm.vmin, norm.vmax) == pytest.approx((low, high), abs=0.03)


@pytest.mark.filterwarnings("error")
def test_five_cells_near_the_largest_number_leave_the_others_their_colours_and_the_colour_bar_says_so():
    noise, x = np.linspace(0, 1, 12), np.arange(10.0)
    plain = xr.DataArray(0.5 + noise[:, None] + 0 * x, {"noise": noise, "x": x}, name="spatial_error")
    spiked = plain.copy()
    spiked[2:7, 3] = 1e300
    found, untouched = (heatmap(array, x="x", y="noise") for array in (spiked, plain))
    for figure in (found, untouched):
        mesh = mesh_of(axes_of(figure)[0])
        colours = mesh.cmap(mesh.norm(mesh.get_array()[:, 0]))
        assert len({tuple(each) for each in colours[1:-1]}) == 10
        assert mesh.norm.vmax <= 1.5
    label, quiet = (figure.axes[-1].get_ylabel() for figure in (found, untouched))
    assert label == f"{quiet}\nends at 95% of the cells"


# Thousands of cells


def test_few_cells_are_left_as_they_are():
    cells = xr.DataArray(np.ones((256, 3)), {"a": np.arange(256.0), "b": [1.0, 2, 3]}, ("a", "b"))
    assert merge_cells(cells) is cells


def test_merged_cells_keep_the_value_of_their_panel():
    cells = xr.DataArray(np.ones((2, 600)), {"y": [0, 1], "x": np.arange(600), "width": 8}, ("y", "x"), "loss")
    found = merge_cells(cells)
    assert found.sizes["x"] < 600
    assert found["width"] == 8


def test_many_cells_are_merged_by_their_median_in_both_directions():
    values = np.random.default_rng(0).random((600, 1025))
    values[:3, :5] = np.nan  # not run: no data
    values[3:6, :5] = np.inf  # lost: counts
    values[6:9, :5] = [np.nan, 1.0, 2.0, 3.0, np.nan]
    coords = {"a": ("a", 2.0 ** np.linspace(0, 9, 600), {"long_name": "size", "units": "cm"}), "b": np.arange(1025)}
    cells = xr.DataArray(values, coords, ("a", "b"), "error", {"long_name": "loss"})
    found = merge_cells(cells)
    assert found.shape == (200, 205)
    np.testing.assert_array_equal(found[:3, 0], [np.nan, np.inf, 2.0])
    expected = np.median(values[9:].reshape(197, 3, 205, 5).swapaxes(1, 2).reshape(197, 205, 15), axis=-1)
    np.testing.assert_allclose(found[3:], expected)
    np.testing.assert_array_equal(found["a"], cells["a"][1::3])
    np.testing.assert_array_equal(found["b"], cells["b"][2::5])
    assert (found.name, found.attrs) == ("error", {"long_name": "loss"})
    assert style.label(found["a"]).replace("\n", " ") == "size (cm), each cell the median of 3"
    assert style.label(found["b"]).replace("\n", " ") == "b, each cell the median of 5"


def test_a_zero_on_a_log_axis_is_not_merged_and_the_last_cell_may_have_fewer():
    epochs = np.concatenate([[0.0], np.geomspace(1, 1e4, 512)])
    found = merge_cells(xr.DataArray([np.arange(513.0)], {"a": [1.0], "epoch": epochs}, ("a", "epoch")))
    np.testing.assert_array_equal(found[0, :3], [0, 2, 5])  # of 0 alone, of 1 to 3, of 4 to 6
    np.testing.assert_array_equal(found[0, -2:], [509, 511.5])  # 512 = 170 * 3 + 2
    assert found["epoch"][0] == 0


def test_maps_of_thousands_of_rates_and_records_draw_some_hundred_and_say_so():
    rates = np.geomspace(1e-4, 1, 2000)
    ds = results({"seed": [0, 1], "learning_rate": rates}, epochs=np.arange(600.0), frequencies=[1.0], points=2)
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate > 0.1) & (ds.seed == 0), from_record=300)
    figure = FIGURES["learning_rate_epoch"](ds)
    (axes,) = axes_of(figure)
    cells = mesh_of(axes).get_array()
    assert cells.shape == (250, 200)
    assert np.ma.getmaskarray(cells)[200:, 101:].all(), "two seeds of which one diverged"
    assert not np.ma.getmaskarray(cells)[:, :99].any()
    assert axes.get_ylabel().replace("\n", " ") == "learning rate, each cell the median of 8"
    assert axes.get_xlabel().replace("\n", " ") == "epoch, each cell the median of 3"
    line = next(line for line in axes_of(FIGURES["frequency_epoch"](ds))[0].lines if line.get_color() == style.MARK)
    best = stats.at_best_learning_rate(ds, ds["spectral_error"]).isel(frequency=0)
    halved = float(stats.halving_epoch(stats.median(best)))
    assert line.get_xdata()[0] == pytest.approx(halved, abs=1.5 + 3)


def test_merged_cells_are_hatched_by_the_most_frequent_ending():
    ds = results({"learning_rate": np.arange(1.0, 601), "width": [16.0]}, epochs=SMALL, frequencies=[1.0], points=2)
    loss = np.where(SMALL >= 3, 0.5, 2.0) * np.ones((600, 1, 1))
    loss[[1, 3, 4]] = 2  # never there
    ds["loss"] = ds["loss"].copy(data=loss)
    ds = ended(ds, labels.DIVERGED, ds.learning_rate.isin([1, 3, 9]))  # of three, two, none and one
    ds = ended(ds, labels.NOT_RUN, ds.learning_rate.isin([10, 11, 12]))
    figure = FIGURES["epochs_to_converge"](ds, threshold=1.0)
    (axes,) = axes_of(figure)
    cells = mesh_of(axes).get_array()
    assert cells.shape == (200, 1)
    np.testing.assert_array_equal(np.flatnonzero(np.ma.getmaskarray(cells)), [0, 1, 3])
    kinds = {patch.get_hatch(): patch.get_path() for patch in axes.patches if isinstance(patch, PathPatch)}
    for kind, rate in (("diverged", 2), ("censored", 5), ("not_run", 11)):
        assert kinds[style.HATCHES[kind][2]].contains_point((16, rate)), kind
        assert sum(path.contains_point((16, rate)) for path in kinds.values()) == 1
    assert "591 of 597 combinations" in texts(figure), "the title counts what has run, not what is drawn"


@pytest.mark.parametrize("name", ["loss_curves", "space_epoch"])
def test_figures_of_a_hundred_thousand_lanes_copy_only_what_they_show(name):
    axes = {"seed": range(10), "learning_rate": np.geomspace(1e-5, 1, 1000), "width": np.arange(1.0, 11)}
    ds = results(axes, frequencies=[1.0], epochs=SMALL, points=2)
    ds = ds.drop_dims("x").assign_coords(x=np.arange(500.0))
    wide = np.broadcast_to(np.float32(0.5), (10, 1000, 10, len(SMALL), 500))  # 1.2 GB, were it ever copied
    ds["spatial_error"] = ((*axes, "epoch", "x"), wide)
    tracemalloc.start()
    FIGURES[name](ds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_the_title_of_loss_curves_is_about_all_lanes_not_about_those_shown():
    ds = results({"width": np.arange(1.0, 21), "learning_rate": np.geomspace(1e-4, 1e-2, 20)}, epochs=SMALL)
    ds["loss"][{"width": 1, "learning_rate": 1, "epoch": -1}] = 1e-9
    figure = FIGURES["loss_curves"](ds)
    assert "lowest median final loss is 1e-09, at learning rate 0.000127 and width 2" in texts(figure)
    assert len(axes_of(figure)) == MOST_PANELS
    assert "6 of 20 values of width are shown. 10 of 20 values of learning rate are shown" in texts(figure)


def test_of_thousands_of_combinations_lines_go_from_the_lowest_loss_to_the_highest():
    count = 2000
    ds = results({"seed": [0, 1], "noise": np.arange(float(count))}, frequencies=[1.0], epochs=SMALL, points=2)
    ds = ds.rename(noise="point").assign_coords(noise=("point", np.arange(count) / 10), point=np.arange(count))
    order = np.random.default_rng(0).permutation(count)
    ds["loss"] = (ds["loss"] * 0 + xr.DataArray(order + 1.0, dims="point")).transpose(*ds["loss"].dims)
    figure = FIGURES["loss_curves"](ds)
    (axes,) = axes_of(figure)
    last = [line.get_ydata()[-1] for line in axes.lines if len(line.get_ydata()) > 2]
    assert len(last) == 10
    assert last == sorted(last)
    assert last[-1] / last[0] == pytest.approx(count)
    assert legend(figure)[0] == f"noise {style.format_number(float(np.argmin(order)) / 10)}"
    assert "They go from the lowest median final loss to the highest" in texts(figure)


# What a figure shows


def test_the_facet_is_width_and_other_dimensions_are_fixed_where_the_loss_is_lowest():
    ds = results({"seed": range(3), "noise": np.arange(9.0), "width": [16.0, 64.0], "learning_rate": [1e-3, 1e-2]})
    ds["loss"] = (ds["loss"] + abs(ds["noise"] - 4)).transpose(*ds["loss"].dims)
    chosen = view(ds)
    assert chosen.facet == "width"
    assert chosen.data["noise"] == 4
    assert any("noise 4 (lowest median final loss)" in rule for rule in chosen.rules)
    assert set(chosen.data["status"].dims) == {"seed", "width"}


def test_without_width_a_small_dimension_makes_the_panels():
    ds = results({"seed": [0], "noise": np.arange(9.0), "activation": ["relu", "tanh"]})
    assert view(ds).facet == "activation"
    assert view(ds, "activation").facet is None


def test_words_make_the_panels_before_widths_do():
    """Two optimisers are swept to be compared."""
    ds = results({"seed": range(3), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0], "optimizer": ["adam", "sgd"]})
    assert view(ds).facet == "optimizer"
    assert view(ds, "optimizer").facet == "width"
    titles = [axes.get_title() for axes in axes_of(FIGURES["curves"](ds))]
    assert [title.split(",")[0] for title in titles] == ["optimizer adam", "optimizer sgd"]


def test_more_panels_than_fit_are_thinned_and_the_caption_says_so():
    ds = results({"width": np.arange(1.0, 41)})
    chosen = view(ds)
    assert chosen.data.sizes["width"] == MOST_PANELS
    assert chosen.data["width"].values[[0, -1]].tolist() == [1, 40]
    assert any("6 of 40 values of width" in rule for rule in chosen.rules)


def test_without_a_loss_nothing_is_chosen_by_it():
    ds = results(AXES).drop_vars("loss")
    with pytest.raises(SweepError, match="without 'loss'"):
        FIGURES["frequency_epoch"](ds)
    assert FIGURES["frequency_epoch"](ds.isel(learning_rate=0, drop=True))


# Figures


def test_every_figure_that_can_be_named_can_be_drawn():
    assert sorted([*FIGURES, *FILMS]) == sorted(KINDS)


def test_frequency_epoch_draws_medians_at_each_widths_best_learning_rate():
    ds = results(AXES)
    ds = ended(ds, labels.DIVERGED, (ds.width == 64) & (ds.learning_rate == 1e-2) & (ds.seed < 3), from_record=9)
    figure = FIGURES["frequency_epoch"](ds)
    panels = axes_of(figure)
    assert [axes.get_title().split("\n")[0] for axes in panels] == [
        "width 16, learning rate 0.01",
        "width 64, learning rate 0.001",
    ]
    for axes, (width, rate) in zip(panels, [(16, 1e-2), (64, 1e-3)], strict=True):
        expected = np.median(ds["spectral_error"].sel(width=width, learning_rate=rate).values, axis=0).T
        np.testing.assert_allclose(mesh_of(axes).get_array(), expected, rtol=1e-6)
    assert mesh_of(panels[0]).norm is mesh_of(panels[1]).norm
    assert len(figure.axes) == 3, "one colour bar"
    assert "Low frequencies are fitted first" in texts(figure)
    caption = texts(figure)
    for part in (
        "Median over 5 seeds",
        "Shown: 10 lanes, none diverged",
        "In the store: 30 lanes, 3 diverged",
        "Page: synthetic/page",
    ):
        assert part in caption


def test_the_halving_line_is_where_the_closed_form_halves():
    ds = results({"seed": [0], "learning_rate": [1e-3]})
    axes = axes_of(FIGURES["frequency_epoch"](ds))[0]
    line = next(line for line in axes.lines if line.get_color() == style.MARK)
    edges = mesh_of(axes).get_coordinates()[0, :, 0]
    exact = np.array([1, 4, 9, 25, 64]) * np.log(2)
    expected = [edges[np.flatnonzero(exact <= EPOCHS)[0]] for exact in exact]
    np.testing.assert_allclose(line.get_xdata()[::2], expected)


@pytest.mark.parametrize(
    ("scaling", "title"),
    [
        (lambda error: error, "Low frequencies are fitted first"),
        (lambda error: error[..., ::-1], "High frequencies are fitted first"),
        (lambda error: error * 0 + 1, "No frequency's error was halved"),
        (lambda error: error[..., [0, 0, 0, 0, 0]], "at the same record"),
        (lambda error: error[..., [2, 0, 4, 1, 3]], "in no order"),
    ],
)
def test_the_title_is_the_finding(scaling, title):
    ds = results({"seed": range(3)})
    ds["spectral_error"] = ds["spectral_error"].copy(data=scaling(ds["spectral_error"].values))
    assert title in texts(FIGURES["frequency_epoch"](ds))


def test_learning_rate_epoch_hatches_what_diverged_and_what_has_not_run():
    ds = results(AXES)
    ds = ended(ds, labels.DIVERGED, ds.learning_rate == 1e-2, from_record=7)
    ds = ended(ds, labels.NOT_RUN, ds.learning_rate == 1e-4)
    figure = FIGURES["learning_rate_epoch"](ds)
    for axes in axes_of(figure):
        masked = np.ma.getmaskarray(mesh_of(axes).get_array())
        assert masked[0].all()
        assert not masked[1].any()
        assert not masked[2, :7].any()
        assert masked[2, 7:].all()
        assert sorted(hatches(axes)) == sorted([style.HATCHES["diverged"][2], style.HATCHES["not_run"][2]])
    assert legend(figure) == ["median lane diverged", "not run"]


@pytest.mark.parametrize(("code", "word"), [(labels.CUT, "cut"), (labels.FAILED, "failed")])
def test_the_legend_says_how_lanes_were_lost(code, word):
    ds = results(AXES)
    assert legend(FIGURES["learning_rate_epoch"](ds)) == []
    assert legend(FIGURES["learning_rate_epoch"](ended(ds, code, ds.width == 16, from_record=3))) == [
        f"median lane {word}"
    ]


def test_epochs_to_converge_prints_medians_and_hatches_the_rest():
    ds = results(AXES, epochs=SMALL)
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-2) & (ds.width == 64), from_record=5)
    ds = ended(ds, labels.NOT_RUN, (ds.learning_rate == 1e-3) & (ds.width == 64))
    figure = FIGURES["epochs_to_converge"](ds, threshold=1.0)
    (axes,) = axes_of(figure)
    cells = mesh_of(axes).get_array()
    loss = ds["loss"].transpose("learning_rate", "width", "seed", "epoch").values
    first = np.where((loss <= 1.0).any(-1), SMALL[(loss <= 1.0).argmax(-1)], np.inf)
    expected = np.median(first, axis=-1)  # by hand: censored at 1e-4 and width 16, fast above
    expected[1:, 1] = np.inf  # not run, and diverged at the last record
    assert np.isinf(expected).sum() == 3
    np.testing.assert_array_equal(cells.filled(np.inf), expected)
    printed = [text.get_text() for text in axes.texts]
    assert printed == [style.format_number(each) for each in expected.ravel() if np.isfinite(each)]
    assert sorted(hatches(axes)) == sorted(style.HATCHES[kind][2] for kind in ("diverged", "censored", "not_run"))
    assert legend(figure) == ["median lane diverged", "median lane not there by the end", "not run"]
    assert "at most 1 (given by the page)" in texts(figure)


def test_the_default_threshold_is_a_share_of_the_initial_loss():
    assert "at most 0.125 (5% of the median initial loss)" in texts(FIGURES["epochs_to_converge"](results(AXES)))


def test_curves_draw_median_and_quartiles():
    ds = results({"seed": range(5)}, frequencies=[3.0])
    (axes,) = axes_of(FIGURES["curves"](ds))
    error = ds["spectral_error"].values[..., 0]
    drawn = axes.lines[0].get_ydata() if len(axes.lines[0].get_ydata()) > 2 else axes.lines[1].get_ydata()
    np.testing.assert_allclose(drawn, np.median(error, axis=0)[1:], rtol=1e-6)
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(np.quantile(error, 0.75, axis=0)[1:].max())


def test_a_curve_ends_in_a_cross_where_the_median_lane_is_lost():
    ds = results({"seed": range(5)}, epochs=SMALL)
    ds = ended(ds, labels.DIVERGED, ds.seed < 3, from_record=4)
    figure = FIGURES["loss_curves"](ds)
    (cross,) = [line for line in axes_of(figure)[0].lines if line.get_marker() == "x"]
    assert cross.get_xdata() == [10]
    assert "median lane diverged" in legend(figure)


def test_the_reference_lies_dashed_over_the_loss():
    ds = results({"seed": range(3), "learning_rate": [1e-3, 1e-2]}, epochs=SMALL)
    ds["closed_form"] = ds["loss"] * 2
    figure = FIGURES["loss_curves"](ds, reference="closed_form")
    dashed = [line for line in axes_of(figure)[0].lines if line.is_dashed() and line.get_color() == "black"]
    expected = 2 * np.median(ds["loss"].values, axis=0)
    np.testing.assert_allclose([line.get_ydata() for line in dashed], expected[:, 1:], rtol=1e-6)
    assert "closed form" in legend(figure)


def test_fits_draw_the_first_seed_and_a_band_of_those_with_its_target():
    ds = results({"seed": range(9), "width": [16.0, 64.0]})
    ds["target"] = ds["target"].where(ds["seed"] != 2, -ds["target"])
    ds = ended(ds, labels.DIVERGED, ds["seed"] == 5, from_record=9)
    figure = FIGURES["fits"](ds)
    panels = axes_of(figure)
    assert len(panels) == 2 * 5
    assert panels[0].get_title() == "epoch 0"
    target, network = panels[2].lines
    output = ds["prediction"].sel(width=16).isel(snapshot_epoch=3)
    np.testing.assert_array_equal(target.get_ydata(), ds["target"].sel(seed=0, width=16))
    np.testing.assert_array_equal(network.get_ydata(), output.sel(seed=0))
    expected = np.quantile(output.sel(seed=[0, 1, 3, 4, 6, 7, 8]), [0.05, 0.95], axis=0)
    band = panels[2].collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([band[:, 1].min(), band[:, 1].max()], [expected.min(), expected.max()], rtol=1e-6)
    assert legend(figure) == ["target", "network", "5% to 95% of the seeds"]
    assert "seed 0, the first that ran" in texts(figure)
    alone = FIGURES["fits"](ds.isel(seed=[0, 2]))
    assert not any(axes.collections for axes in axes_of(alone)), "another target is another question"
    assert legend(alone) == ["target", "network"]


def test_space_epoch_names_the_place_fitted_last():
    ds = results({"seed": range(3)})
    ds["spatial_error"] = ds["spatial_error"] + 7 * (ds["x"] == 0.25)
    assert "x = 0.25: 7" in texts(FIGURES["space_epoch"](ds))


# Awkward stores


def without(*names):
    return lambda: results({name: values for name, values in AXES.items() if name not in names})


def union():
    ds = results({"seed": range(2), "momentum": [0.9, 0.9, np.nan]}).rename(momentum="point")
    knobs = {
        "optimizer": ["sgd", "sgd", "adam"],
        "initialiser": ["glorot_uniform"] * 3,
        "learning_rate": [0.1, 0.01, 0.01],
        "momentum": [0.9, 0.9, np.nan],
    }
    return ds.assign_coords(point=[0, 1, 2], **{name: ("point", values) for name, values in knobs.items()})


def half():
    ds = results(AXES)
    mask = xr.zeros_like(ds["status"], dtype=bool)
    mask.values.flat[::2] = True
    return ended(ds, labels.NOT_RUN, mask)


def scaled(name, change):
    ds = results(AXES)
    return ds.assign({name: change(ds[name]).assign_attrs(ds[name].attrs)})


def spiked(name, value):
    """Give results in which a few lanes, and one learning rate, have values of another size."""
    ds = results({"seed": range(3), "learning_rate": np.geomspace(1e-4, 1e-1, 8), "width": [16.0, 64.0]})
    array = ds[name].astype(float)
    array.values.reshape(-1)[:: array.size // 5] = value
    array[{"learning_rate": -1, "seed": 0}] = value
    return ds.assign({name: array})


def empty_word():
    ds = results({"seed": range(2), "width": [1.0, 2, 3, 4]}).rename(width="point")
    knobs = {"depth": [0, 1, 1, 1], "activation": ["", "sine", "sine", "tanh"], "omega0": [np.nan, 10, 30, np.nan]}
    return ds.assign_coords(point=range(4), **{name: ("point", values) for name, values in knobs.items()})


def targets_of_other_sizes():
    ds = results({"seed": range(2), "intercept": [0.01, 1000.0]})
    scaled = {name: (ds[name] * ds["intercept"]).transpose(*ds[name].dims) for name in ("target", "prediction")}
    return ds.assign({name: array.assign_attrs(ds[name].attrs) for name, array in scaled.items()})


STORES = {
    "whole": without(),
    "no width": without("width"),
    "no learning rate": without("learning_rate"),
    "one lane": without("seed", "learning_rate", "width"),
    "one value on each axis": lambda: results(AXES).isel(seed=[0], learning_rate=[0], width=[0], frequency=[0]),
    "one record": lambda: results(AXES, epochs=np.array([0.0])),
    "all diverged": lambda: ended(results(AXES), labels.DIVERGED, True, from_record=3),
    "all diverged at once": lambda: ended(results(AXES), labels.DIVERGED, True),
    "half not run": half,
    "nothing run": lambda: ended(results(AXES), labels.NOT_RUN, True),
    "union": union,
    "more knobs": lambda: results({"seed": [0, 1], "noise": np.linspace(0, 1, 8), "activation": ["relu", "tanh"]}),
    "unsorted": lambda: results(AXES).isel(learning_rate=[2, 0, 1], width=[1, 0], frequency=[3, 1, 2, 0, 4]),
    "zeros": lambda: scaled("loss", lambda loss: loss * 0),
    "thirty decades": lambda: scaled("loss", lambda loss: loss.astype(float) ** 8 * 1e30),
    "rates to 1e300": lambda: results({"seed": [0, 1], "learning_rate": [1e-3, 1.0, 1e10, 1e300], "width": [4.0, 8.0]}),
    "one frequency": lambda: results({"seed": [0, 1], "learning_rate": [1e-3, 1e-2], "depth": [0, 1]}, frequencies=[4]),
    "an empty word": empty_word,
    "targets of other sizes": targets_of_other_sizes,
    "loss near 1e300": lambda: spiked("loss", 1e300),
    "loss near -1e300": lambda: spiked("loss", -1e300),
    "errors near 1e300": lambda: spiked("spatial_error", 1e300),
    "outputs near 1e300": lambda: spiked("prediction", 1e300),
    "the largest numbers": lambda: spiked("loss", np.finfo(float).max),
    "no axes": lambda: results({}),
    "seven widths": lambda: results({"seed": [0, 1], "width": 2.0 ** np.arange(7)}, epochs=SMALL),
}


MOST_AWKWARD = ("one lane", "one value on each axis", "all diverged at once", "half not run", "union")
OPTIONS = {"share": {"at_most": 0.5}}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "store"),
    [
        pytest.param(name, each, marks=[pytest.mark.slow] * ((row + column) % 6 > 0))  # a sixth of them in `make test`
        for row, name in enumerate(FIGURES)
        for column, each in enumerate(MOST_AWKWARD if KINDS[name].on_request else STORES)
    ],
)
def test_every_figure_on_every_awkward_store(name, store):
    ds = STORES[store]()
    if not set(KINDS[name].needs) <= style.available(ds):
        with pytest.raises(SweepError, match=f"figure {name!r} needs"):
            FIGURES[name](ds)
        return
    figure = FIGURES[name](ds, **OPTIONS.get(name, {}))
    figure.draw_without_rendering()
    panels = axes_of(figure)
    assert all(panel.has_data() or panel.texts or hatches(panel) for panel in panels), "an empty panel"
    question, title, caption = (text.get_text() for text in figure.texts)
    assert question == "Which frequency comes first?"
    assert "nan" not in title.lower().split()
    assert "lane" in caption
    inside = figure.bbox.padded(1)
    assert all(inside.contains(*corner) for text in figure.texts for corner in text.get_window_extent().get_points())
    assert not overlapping([axes.title for axes in panels])


def test_rows_of_fits_have_separate_axes_if_targets_differ_in_size():
    figure = FIGURES["fits"](targets_of_other_sizes())
    panels = axes_of(figure)
    first, second = panels[0], panels[-1]
    for axes, size in ((first, 0.01), (second, 1000.0)):
        target = axes.lines[0].get_ydata()
        low, high = axes.get_ylim()
        assert np.ptp(target) > size
        assert np.ptp(target) / (high - low) == pytest.approx(2 / 3)
    assert len({axes.get_ylim() for axes in panels}) == 2
    alike = FIGURES["fits"](results({"seed": [0], "width": [8.0, 16.0]}))
    assert len({axes.get_ylim() for axes in axes_of(alike)}) == 1


def test_the_title_of_fits_has_both_errors_if_targets_differ_in_size():
    ds = targets_of_other_sizes()
    first = ds.isel(seed=0, snapshot_epoch=-1)
    errors = ((first["prediction"].astype(float) - first["target"]) ** 2).mean("x") ** 0.5
    told = ", ".join(
        f"{float(f'{error:.2g}'):g} at intercept {at:g}" for at, error in zip((0.01, 1000), errors.values, strict=True)
    )
    assert FIGURES["fits"](ds).texts[1].get_text().endswith(f"at epoch {first['snapshot_epoch'].item():g}: {told}")
    lost = ended(ds, labels.DIVERGED, ds["intercept"] > 1)
    lost["prediction"] = lost["prediction"].where(lost["intercept"] < 1)
    assert FIGURES["fits"](lost).texts[1].get_text().endswith("at intercept 0.01, not finite at intercept 1000")


@pytest.mark.parametrize(("shift", "told"), [(1e3, ["network above"]), (-1e3, ["network below"]), (0.0, [])])
def test_a_network_outside_the_limits_is_said_to_lie_above_or_below(shift, told):
    ds = results({"seed": [0]})
    ds["prediction"] = (ds["prediction"] + shift * (ds["snapshot_epoch"] == 0)).transpose(*ds["prediction"].dims)
    first, *others = axes_of(FIGURES["fits"](ds))
    assert [text.get_text() for text in first.texts] == told
    assert not [text for axes in others for text in axes.texts]


@pytest.mark.parametrize(
    "name", ["metric_epoch", "metric_curves", "outcome", "heatmap", "loss_curves", "learning_rate_epoch"]
)
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_nan_is_not_called_lost(name, lost):
    ds = results({"seed": range(2), "learning_rate": [1e-3, 1e-2, 1e-1]})
    ds["loss"] = ds["loss"] * np.nan
    ds = ended(ds, labels.DIVERGED, ds["learning_rate"] > ([1.0, 0.05, 0.005, 0.0][lost]))
    figure = FIGURES[name](ds, **({"x": "epoch", "y": "learning_rate"} if name == "heatmap" else {}))
    said = "\n".join([texts(figure), *(text.get_text() for axes in figure.axes for text in axes.texts)])
    assert ("very median lane diverged" in said) == (lost == 3)
    assert ("There is no finite number to draw" in said) == (lost < 3)


def test_a_facet_by_learning_rate_has_a_panel_for_each():
    ds = results({"seed": [0, 1], "weight_decay": [1e-3, 1e-1], "learning_rate": [1e-3, 3e-3, 1e-2]})
    figure = FIGURES["heatmap"](ds, x="epoch", y="weight_decay", facet="learning_rate")
    assert [axes.get_title() for axes in axes_of(figure)] == [f"learning rate {rate}" for rate in (0.001, 0.003, 0.01)]
    assert "best learning rate" not in texts(figure)
    for axes, rate in zip(axes_of(figure), ds["learning_rate"], strict=True):
        expected = stats.median(ds["loss"].sel(learning_rate=rate)).transpose("weight_decay", "epoch")
        np.testing.assert_allclose(mesh_of(axes).get_array(), np.maximum(expected, np.finfo(float).tiny))


@pytest.mark.parametrize(
    ("slow", "title"),
    [
        ([1.0, 1.0], "Frequency 4 halved its error at epoch 14"),
        ([1.0, 10.0], "Frequency 4 halved its error at epoch 14 to 117"),
        ([1.0, np.inf], "Frequency 4 halved its error at epoch 14, and never at depth 1"),
        ([np.inf, np.inf], "No frequency's error was halved"),
    ],
)
def test_the_title_of_one_frequency_is_what_its_panels_show(slow, title):
    ds = results({"seed": [0], "depth": [0, 1]}, frequencies=[4])
    clock = ds["epoch"] / xr.DataArray(slow, dims="depth")
    error = np.exp(-clock / 16).expand_dims(seed=1, frequency=1).transpose(*ds["spectral_error"].dims)
    ds = ds.assign(spectral_error=ds["spectral_error"].copy(data=error))
    median = stats.median(ds["spectral_error"])
    shown = [stats.halving_epoch(median.isel(depth=depth)).item() for depth in range(2)]
    assert [np.isfinite(each) for each in shown] == list(np.isfinite(slow))
    for name in ("frequency_epoch", "curves"):
        assert title in texts(FIGURES[name](ds))


def test_learning_rates_that_share_the_lowest_loss_are_not_called_by_one_of_them():
    ds = results({"seed": [0], "learning_rate": [1e-4, 1.0, 1e10]})
    last = stats.median(stats.final(ds, "loss"))
    assert last[1] == last[2] == last.min()
    assert "Several learning rates share the lowest final loss" in texts(FIGURES["learning_rate_epoch"](ds))
    one = ds.isel(learning_rate=[0, 1])
    assert "The final loss is lowest at learning rate 1 " in texts(FIGURES["learning_rate_epoch"](one))


def test_halving_at_one_record_is_stated_only_for_panels_that_show_it():
    ds = results({"seed": [0], "depth": [0, 1]}, frequencies=[1, 2])
    halved = xr.where(ds["epoch"] >= 9, 0.1, 1.0) * xr.DataArray([1.0, np.nan], dims="depth").fillna(1.0)
    halved = halved.where(ds["depth"] == 0, 1.0).expand_dims(seed=1, frequency=2)
    ds = ds.assign(spectral_error=ds["spectral_error"].copy(data=halved.transpose(*ds["spectral_error"].dims)))
    assert "All frequencies halved their error at the same record, in 1 of 2 panels" in texts(FIGURES["curves"](ds))


def test_a_word_that_does_not_apply_leaves_no_gap_in_names():
    names = [axes.get_title().replace("\n", " ") for axes in axes_of(FIGURES["curves"](empty_word()))]
    assert names[0] == "depth 0"
    assert names[1] == "depth 1, activation sine, omega0 10"


WORDS = ["Is it $x_$ or not?", r"$\undefined{ $", r"$$ \$ 5$", "a\x1b[31m\x00\ud800 b", "word " * 20_000, "w" * 100_000]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "words",
    [pytest.param(each, id=str(n), marks=[pytest.mark.slow] * (n != 3)) for n, each in enumerate(WORDS)],
)
def test_words_are_drawn_literally(words, tmp_path):
    axes = {"seed": [0, 1], "learning_rate": [1e-3, 1e-2], "activation": ["relu", "tanh"]}
    ds = results(axes, epochs=SMALL[:3], frequencies=[1.0, 2.0], points=8)
    ds = ds.assign_coords(activation=["relu", words[:40]]).assign_attrs(question=words, name=words)
    for name in ds.variables:
        ds[name].attrs |= {"long_name": words[:300], "units": words[:40]}
    for name, draw in FIGURES.items():
        figure = draw(ds, **OPTIONS.get(name, {})) if set(KINDS[name].needs) <= style.available(ds) else None
        if figure is None:
            continue
        assert max(figure.get_size_inches()) < 30
        figure.draw_without_rendering()
        question = figure.texts[0].get_text().replace("\n", " ")
        shown = make_visible(words)[:20].strip()
        assert question.startswith(shown), (question, shown)
    save(FIGURES["metric_curves"](ds), [tmp_path / "a.svg", tmp_path / "a.png"])
    ElementTree.parse(tmp_path / "a.svg")  # no letter in it that XML has not


def test_the_formulas_of_logarithmic_ticks_stay_formulas():
    ds = results(epochs=np.unique([0, *np.geomspace(1, 1e9, 30).round()]))
    figure = FIGURES["loss_curves"](ds)
    figure.draw_without_rendering()
    ticks = [text for text in axes_of(figure)[0].yaxis.get_ticklabels() if "mathdefault" in text.get_text()]
    assert ticks
    assert all(text.get_parse_math() for text in ticks)


def test_panels_of_a_union_are_named_by_their_knobs():
    names = [axes.get_title().replace("\n", " ") for axes in axes_of(FIGURES["curves"](union()))]
    assert names == [
        "optimizer sgd, initialiser glorot_uniform, learning rate 0.1, momentum 0.9",
        "optimizer sgd, initialiser glorot_uniform, learning rate 0.01, momentum 0.9",
        "optimizer adam, initialiser glorot_uniform, learning rate 0.01",
    ]


def test_a_store_that_has_not_run_says_so():
    ds = STORES["nothing run"]()
    for name, draw in FIGURES.items():
        figure = draw(fitting(name, ds), **OPTIONS.get(name, {}))
        assert "Nothing has run to its end yet" in texts(figure), name


@pytest.mark.parametrize("name", ["frequency_epoch", "epochs_to_converge", "loss_curves"])
def test_a_hundred_thousand_lanes(name):
    axes = {"seed": range(10), "learning_rate": np.geomspace(1e-5, 1, 100), "width": np.arange(1.0, 101)}
    ds = results(axes, frequencies=[1.0, 2.0], epochs=SMALL, points=2)
    figure = FIGURES[name](ds)
    assert "100000 lanes" in texts(figure)
    assert sum(len(axes.texts) for axes in axes_of(figure)) <= len(figure.axes), "no numbers where there is no space"


def test_the_callers_settings_are_not_changed():
    before = dict(matplotlib.rcParams)
    FIGURES["curves"](results({"seed": [0]}))
    assert dict(matplotlib.rcParams) == before


def test_lines_of_a_figure_have_distinct_colours():
    colours = style.line_colours(10)
    assert len({tuple(each) for each in colours}) == 10
    assert (colours[:, :3].sum(axis=1) < 2.3).all(), "too pale on white"


def test_the_order_in_the_title_of_curves_is_that_of_all_frequencies_not_of_those_shown():
    ds = results({"seed": range(3), "learning_rate": [1e-2]}, frequencies=range(1, 21))
    shown = np.unique(np.linspace(0, 19, 10).round().astype(int))
    hidden = np.setdiff1d(np.arange(20), shown)
    turned = np.arange(20)
    turned[hidden] = hidden[::-1]  # those left out are learned the other way round
    ds["spectral_error"] = ds["spectral_error"].isel(frequency=turned).assign_coords(frequency=ds["frequency"])
    error = stats.median(stats.measured(ds, "spectral_error")).isel(learning_rate=0)
    order = float(stats.order_of_convergence(stats.halving_epoch(error)))
    assert order < 0.8
    assert f"{order:.2f}" in texts(FIGURES["curves"](ds))
