"""Figures of unions of axes: a panel for each part that differs in a word, and knobs along `point` as rows."""

import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, hatches, legend, mesh_of, texts
from synthetic import ended, results, union

from sweep import MLP, Experiment, Optimizer, SumOfSines, grid
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.page.specs.figure import Figure
from sweep.plots.drawing import style, unions
from sweep.plots.drawing.view import MOST_PANELS, view
from sweep.plots.gallery import choose_figures
from sweep.plots.registry import FIGURES

SMALL = np.array([0.0, 1, 3, 10, 30, 100])
SLOWEST = 1e-300  # atol for zeros, which a logarithmic map draws as the smallest number


def drawn(axes) -> np.ndarray:
    return np.ma.filled(mesh_of(axes).get_array().astype(float), np.nan)


def titles(figure) -> list[str]:
    return [axes.get_title().replace("\n", " ") for axes in axes_of(figure)]


def slow(**kwargs):
    """A union that has not converged, so that its best combinations differ: momentum 0.9 is faster."""
    return union(epochs=SMALL[:3], **kwargs)


# Coordinates


def test_a_name_is_a_dimension_or_lies_along_one():
    ds = union()
    assert unions.dimension(ds, "epoch") == "epoch"
    assert unions.dimension(ds, "optimizer") == "point"
    with pytest.raises(SweepError, match="did you mean 'momentum'"):
        unions.dimension(ds, "momentun")


def test_a_knob_with_two_to_six_words_separates_the_parts():
    assert unions.part_knob(union(), MOST_PANELS) == "optimizer"
    assert unions.part_knob(union().isel(point=slice(8)), MOST_PANELS) is None, "one value"
    assert unions.part_knob(union().drop_vars("optimizer"), MOST_PANELS) is None, "numbers alone"
    assert unions.part_knob(results({"seed": [0], "activation": ["relu", "tanh"]}), MOST_PANELS) is None, "no union"


def test_lanes_are_grouped_by_their_knobs_and_those_without_one_are_left_out():
    ds = union()
    assert unions.groups(ds, "point", ["optimizer"]) == [list(range(8)), [8, 9, 10]]
    assert unions.groups(ds, "point", ["momentum"]) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_unfolding_puts_every_lane_where_its_knobs_say():
    ds = union(epochs=SMALL).isel(point=[3, 1, 0, 2, 5, 7, 4])
    wide = unions.unfold_knobs(ds, ["learning_rate", "momentum", "epoch"])
    assert wide.sizes["learning_rate"] == 4
    for lane in range(7):
        one = ds.isel(point=lane)
        there = wide.sel(learning_rate=one.learning_rate.item(), momentum=one.momentum.item())
        np.testing.assert_array_equal(there.loss.values.ravel(), one.loss.values.ravel())
    hole = wide.sel(learning_rate=1e-1, momentum=0.9)
    assert (hole.status == labels.NOT_RUN).all()
    assert hole.loss.isnull().all()


# What is shown


def test_each_part_of_a_union_is_shown_at_its_best():
    ds = slow()
    chosen = view(ds)
    assert chosen.data.sizes["point"] == 2
    last = np.median(ds.loss.values[..., -1], axis=0)
    best = [int(last[:8].argmin()), 8 + int(last[8:].argmin())]
    np.testing.assert_array_equal(chosen.data["point"], best)
    assert [chosen.title(part) for part in chosen.panels()] == [
        "optimizer sgd, learning rate 1, momentum 0.9",
        "optimizer adam, learning rate 0.01",
    ]
    assert "At each optimizer's best combination (lowest median final loss)" in chosen.rules


def test_a_union_of_few_points_still_has_a_panel_for_each():
    chosen = view(slow().isel(point=slice(6, 11)))
    assert (chosen.facet, chosen.data.sizes["point"], chosen.rules) == ("point", 5, ())


def test_beside_widths_the_parts_of_a_union_make_the_panels():
    base = results({"seed": [0, 1], "momentum": np.arange(8.0), "width": [16.0, 64.0]}, epochs=SMALL[:3], points=2)
    ds = base.rename(momentum="point").assign_coords(point=range(8), rate=("point", np.arange(8.0)))
    ds = ds.assign_coords(optimizer=("point", ["sgd"] * 4 + ["adam"] * 4))
    ds["loss"] = (ds["loss"] + ds["rate"] % 4).transpose(*ds["loss"].dims)
    chosen = view(ds)
    assert chosen.facet == "point"
    np.testing.assert_array_equal(chosen.data["point"], [0, 4])
    assert chosen.data["width"] == 64, "fixed where the loss is lowest"


@pytest.mark.parametrize("name", ["learning_rate_epoch", "metric_epoch"])
def test_learning_rates_along_a_union_have_a_panel_for_each_optimizer(name):
    ds = slow()
    figure = FIGURES[name](ds)
    assert titles(figure) == ["optimizer sgd", "optimizer adam"]
    first, second = (drawn(axes) for axes in axes_of(figure))
    np.testing.assert_allclose(first, np.median(ds.loss.values[:, 4:8], axis=0), rtol=1e-6)
    np.testing.assert_allclose(second, np.median(ds.loss.values[:, 8:], axis=0), rtol=1e-6)
    assert "At each optimizer and learning rate's best combination" in texts(figure)
    if name == "learning_rate_epoch":
        assert "lowest at learning rate 0.01 to 1, depending on optimizer" in texts(figure)


@pytest.mark.parametrize("name", ["outcome", "share"])
def test_outcome_and_share_of_a_union_have_a_row_for_each_optimizer(name):
    ds = ended(slow(), labels.DIVERGED, slow().learning_rate == 1, from_record=1)
    figure = FIGURES[name](ds, **({"at_most": 1.0} if name == "share" else {}))
    assert titles(figure) == ["optimizer sgd", "optimizer adam"]
    last = ds.loss.values[:, 4:, -1]
    last = np.where(np.isnan(last), np.inf, last)
    expected = np.mean(last <= 1, axis=0) if name == "share" else np.median(last, axis=0)
    got = np.concatenate([drawn(axes).ravel() for axes in axes_of(figure)])
    np.testing.assert_allclose(got, np.where(np.isinf(expected), np.nan, expected), rtol=1e-6)


def test_rows_that_not_every_part_has_leave_the_others_out_and_say_so():
    figure = FIGURES["metric_epoch"](slow(), rows="momentum")
    assert titles(figure) == ["optimizer sgd"]
    assert "Left out: 3 combinations without momentum" in texts(figure)


def test_epochs_to_converge_of_a_union_over_rates_and_widths():
    base = results({"seed": range(3), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0]}, epochs=SMALL, points=2)
    flat = base.stack(point=("learning_rate", "width")).transpose("seed", "point", ...)
    knobs = {name: flat[name].values for name in ("learning_rate", "width")}
    flat = flat.drop_vars(["point", "learning_rate", "width"])
    both = xr.concat([flat, flat.isel(point=slice(3))], "point").transpose("seed", "point", ...)
    both = both.assign_coords(point=range(7), optimizer=("point", ["sgd"] * 4 + ["adam"] * 3))
    both = both.assign_coords({name: ("point", np.append(each, each[:3])) for name, each in knobs.items()})
    figure = FIGURES["epochs_to_converge"](both, threshold=1.0)
    (alone,) = axes_of(FIGURES["epochs_to_converge"](base, threshold=1.0))
    first, second = axes_of(figure)
    np.testing.assert_array_equal(drawn(first), drawn(alone))
    np.testing.assert_array_equal(drawn(second).ravel()[:3], drawn(alone).ravel()[:3])
    assert hatches(second)[-1] == style.HATCHES["not_run"][2], "no lane there"


def test_lines_of_a_union_have_one_colour_in_all_panels():
    figure = FIGURES["metric_curves"](slow(), lines="learning_rate")
    assert titles(figure) == ["optimizer sgd", "optimizer adam"]
    assert legend(figure) == ["0.0001", "0.001", "0.01", "0.1", "1"]
    colours = style.line_colours(5)
    for axes, places in zip(axes_of(figure), [(1, 2, 3, 4), (0, 1, 2)], strict=True):
        lines = [line.get_color() for line in axes.lines if line.get_marker() == "None"]
        np.testing.assert_allclose(lines, colours[list(places)])


def test_a_union_s_knobs_are_available_when_figures_are_chosen():
    names = [figure.name for figure in choose_figures(union())]
    assert "learning_rate_epoch" in names
    assert "epochs_to_converge" not in names, "no width"


def test_a_page_may_name_figures_of_a_union_s_knobs():
    axes = grid(optimizer=("sgd",), learning_rate=(0.1, 1.0)) + grid(optimizer=("adam",), learning_rate=(1e-3,))
    figures = (Figure("heatmap", {"x": "epoch", "y": "learning_rate", "facet": "optimizer"}),)
    page = {"question": "Which?", "task": SumOfSines(), "model": MLP(), "optimizer": Optimizer(), "epochs": 5}
    figures += (Figure("learning_rate_epoch"),)
    assert Experiment(name="page", axes=axes, figures=figures, **page).figures == figures
    with pytest.raises(SweepError, match="needs 'momentum', which this page neither sweeps nor records"):
        Experiment(name="page", axes=axes, figures=(Figure("heatmap", {"y": "momentum"}),), **page)


# Halving


def test_lanes_that_were_cut_have_their_own_hatch_where_most_were_cut():
    ds = results({"seed": range(5), "learning_rate": [1e-4, 1e-3, 1e-2], "width": [16.0, 64.0]}, epochs=SMALL)
    ds = ended(ds, labels.CUT, (ds.learning_rate == 1e-4) & (ds.seed < 3), from_record=2)
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-4) & (ds.seed == 3), from_record=2)
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-2) & (ds.seed < 3), from_record=5)
    ds = ended(ds, labels.CUT, (ds.learning_rate == 1e-2) & (ds.seed >= 3), from_record=1)
    figure = FIGURES["epochs_to_converge"](ds, threshold=1e-6)
    (axes,) = axes_of(figure)
    kinds = {patch.get_hatch(): patch.get_path() for patch in axes.patches}
    for kind, rate in (("cut", 1e-4), ("censored", 1e-3), ("diverged", 1e-2)):
        assert kinds[style.HATCHES[kind][2]].contains_point((16, rate)), kind
    assert "median lane cut before it got there" in legend(figure)
    assert "median lane not there by the end" in legend(figure)
