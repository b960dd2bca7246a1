"""Figures on axes that a caller gives: the same data, on only these axes, in the caller's figure."""

import inspect

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import axes_of, hatches, legend, mesh_of
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from synthetic import AXES, ended, fitting, results, union

from sweep import Figure as PageFigure
from sweep import SweepError, plots
from sweep.base import labels
from sweep.page.specs.figure import KINDS
from sweep.plots import heatmap
from sweep.plots.drawing import style
from sweep.plots.registry import FIGURES, FILMS

OPTIONS = {"share": {"at_most": 0.5}, "heatmap": {"metric": "spectral_error"}}
MAPS = {"frequency_epoch", "learning_rate_epoch", "metric_epoch", "epochs_to_converge", "outcome", "share",
        "space_epoch", "heatmap", "surface", "surface_error"}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def ds():
    whole = results(AXES, epochs=np.array([0.0, 1, 3, 10, 30, 100]))
    return ended(whole, labels.DIVERGED, (whole.learning_rate == 1e-2) & (whole.width == 64), from_record=2)


def drawn(axes):
    """What a panel shows, and its limits: lines, cells, bands, hatches, texts and labels."""
    return {
        "lines": [(*line.get_data(), line.get_color()) for line in axes.lines],
        "cells": [each.get_array() for each in axes.collections],
        "bands": [path.vertices for each in axes.collections if isinstance(each, PolyCollection)
                  for path in each.get_paths()],
        "hatches": hatches(axes),
        "words": [text.get_text() for text in axes.texts],
        "limits": (axes.get_xlim(), axes.get_ylim(), axes.get_xscale(), axes.get_yscale()),
    }  # fmt: skip


# What is drawn


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_the_same_on_given_axes_as_in_a_new_figure(name, ds):
    ds, options = fitting(name, ds), OPTIONS.get(name, {})
    own = FIGURES[name](ds, **options)
    expected = axes_of(own)
    figure = Figure(figsize=(20, 8), layout="constrained")
    *given, other = figure.subplots(1, len(expected) + 1)
    size, engine = figure.get_size_inches().copy(), figure.get_layout_engine()
    assert FIGURES[name](ds, **options, ax=given) is figure
    assert len(figure.axes) == len(given) + 1 + (name in MAPS), "nothing but a colour bar is added"
    assert not other.has_data()
    assert not [*figure.texts, *figure.legends]
    assert figure.get_layout_engine() is engine
    np.testing.assert_array_equal(figure.get_size_inches(), size)
    for one, theirs in zip(given, expected, strict=True):
        np.testing.assert_equal(drawn(one), drawn(theirs))
        assert one.get_xlabel()
    kept = given[-1].get_legend()
    assert ([text.get_text().replace("\n", " ") for text in kept.get_texts()] if kept else []) == legend(own)
    assert not any(one.get_legend() for one in given[:-1])


def test_curves_are_medians_over_seeds_of_the_panel_s_width(ds):
    _, (left, right) = plt.subplots(1, 2, layout="constrained")
    plots.curves(ds.sel(width=16), ax=left)
    plots.curves(ds.sel(width=64), ax=right)
    for axes, width, rate in ((left, 16, 1e-2), (right, 64, 1e-3)):
        error = ds["spectral_error"].sel(width=width, learning_rate=rate).transpose("frequency", "seed", "epoch").values
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
        assert len(lines) == ds.sizes["frequency"]
        for line, each in zip(lines, error, strict=True):
            np.testing.assert_allclose(line.get_ydata(), np.median(each, axis=0)[1:], rtol=1e-6)
        told = axes.get_title().replace("\n", " ")
        assert told == f"width {width}, learning rate {rate}", "no caption says what was selected"


def test_cells_of_an_array_are_drawn_on_one_axes_of_a_row(ds):
    figure, axes = plt.subplots(1, 2)
    array = ds["loss"].sel(width=16)
    assert heatmap(array, x="epoch", y="learning_rate", ax=axes[1]) is figure
    np.testing.assert_allclose(mesh_of(axes[1]).get_array(), np.median(array.values, axis=0), rtol=1e-6)
    assert not axes[0].has_data()
    bar = figure.axes[-1]
    assert bar.get_label() == "<colorbar>"
    assert bar.get_position().x0 > axes[1].get_position().x1
    assert axes[1].get_title() == "width 16"


def test_axes_that_share_nothing_have_the_same_limits(ds):
    figure = Figure(layout="constrained")
    given = figure.subplots(2, 1)
    for name in ("curves", "loss_curves", "metric_curves"):
        FIGURES[name](ds, ax=given)
        assert given[0].get_ylim() == given[1].get_ylim()
        assert given[0].get_yscale() == given[1].get_yscale() == "log"
    flat = ds.assign(loss=ds["loss"] * 0 + 1)
    FIGURES["metric_curves"](flat, ax=(given := Figure().subplots(2, 1)))
    assert given[0].get_ylim() == given[1].get_ylim() == (0.94, 1.06)


def test_a_legend_keeps_its_lines_short_and_lies_within_its_panel(ds):
    figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
    plots.curves(ds, ax=axes[:2])
    plots.frequency_epoch(ds, ax=axes[2:])
    figure.draw_without_rendering()
    for each in (axes[1], axes[3]):
        box, panel = each.get_legend().get_window_extent(), each.get_window_extent()
        assert panel.contains(*box.p0)
        assert panel.contains(*box.p1)


def test_an_array_of_axes_of_any_shape_is_read_row_by_row(ds):
    few = ds.isel(snapshot_epoch=[0, -1])
    figure = Figure(figsize=(8, 8), layout="constrained")
    given = figure.subplots(2, 2, sharex=True)
    plots.fits(few, ax=given)
    assert [axes.get_title() for axes in given[0]] == ["epoch 0", "epoch 100"]
    assert [axes.get_ylabel().split("\n")[0] for axes in given[:, 0]] == ["width 16", "width 64"]
    for (width, rate), row in zip([(16, 1e-2), (64, 1e-3)], given, strict=True):
        for moment, axes in enumerate(row):
            (network,) = [line for line in axes.lines if line.get_color() == style.NETWORK]
            lane = few["prediction"].sel(width=width, learning_rate=rate).isel(seed=0, snapshot_epoch=moment)
            np.testing.assert_array_equal(network.get_ydata(), lane)
    assert [axes.get_xlabel() for axes in given.ravel()] == ["", "", "x", "x"], "no label where there are no numbers"


def test_panels_of_a_union_fit_on_given_axes():
    lanes = union(epochs=np.array([0.0, 1, 10, 100]))
    given = Figure(figsize=(15, 4), layout="constrained").subplots(1, 2)
    plots.heatmap(lanes["loss"].isel(point=slice(4, 11)), x="epoch", y="learning_rate", facet="optimizer", ax=given)
    assert [axes.get_title() for axes in given] == ["optimizer sgd", "optimizer adam"]


# What is the caller's


def test_the_callers_texts_lines_and_settings_are_kept(ds):
    with matplotlib.rc_context({"axes.titlesize": 17, "text.color": "red"}):
        before = dict(matplotlib.rcParams)
        figure, axes = plt.subplots(layout="constrained")
        figure.suptitle("$x^2$")
        axes.plot([1, 2], [1, 1], "x", label="mine")
        axes.annotate("$y$", (1, 1))
        plots.curves(ds.sel(width=[64]), ax=axes)
        assert dict(matplotlib.rcParams) == before
    assert axes.lines[0].get_label() == "mine"
    assert axes.title.get_fontsize() == 17
    assert axes.title.get_color() == "red"
    assert "median lane diverged" not in [text.get_text() for text in axes.get_legend().get_texts()], "not our cross"
    assert axes.texts[0].get_parse_math()
    axes.set_title("$z$")
    assert axes.title.get_parse_math()
    figure.draw_without_rendering()


def test_cells_that_a_caller_drew_before_do_not_count(ds):
    figure, axes = plt.subplots(layout="constrained")
    theirs = axes.pcolormesh(np.full((2, 2), 1e6))
    plots.outcome(ds, ax=axes)
    ours = axes.collections[-1]
    assert ours is not theirs
    assert figure.axes[-1].get_ylim() == pytest.approx((ours.norm.vmin, ours.norm.vmax))


def test_words_with_dollars_are_drawn_as_they_are(ds):
    ds = ds.assign_attrs()
    ds["loss"] = ds["loss"].assign_attrs(long_name="a\x1b loss")
    plots.metric_curves(ds, ax=(others := plt.figure().subplots(1, 2)))
    assert "\x1b" not in others[0].get_ylabel()
    ds["loss"] = ds["loss"].assign_attrs(long_name=r"loss $\undefined{$")
    _, axes = plt.subplots(1, 2, layout="constrained")
    plots.loss_curves(ds, ax=axes)
    plots.metric_epoch(ds, ax=plt.figure().subplots(1, 2))
    for each in map(plt.figure, plt.get_fignums()):
        each.draw_without_rendering()
    assert axes[0].get_ylabel().startswith("loss $")


def test_a_panel_without_a_title_keeps_that_of_the_caller(ds):
    _, axes = plt.subplots()
    axes.set_title("mine")
    plots.outcome(ds, ax=axes)
    assert axes.get_title() == "mine"


def test_a_title_is_the_same_when_drawn_again(ds):
    _, axes = plt.subplots(1, 2)
    plots.frequency_epoch(ds, ax=axes)
    first = [each.get_title() for each in axes]
    plots.frequency_epoch(ds, ax=axes)
    assert [each.get_title() for each in axes] == first
    assert "rank correlation" in first[0]


def test_axes_of_a_subfigure_and_outside_a_grid_are_accepted(ds):
    figure = plt.figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    assert plots.outcome(ds, ax=left.subplots()) is figure
    assert len(left.axes) == 2, "the colour bar stands in the part of the figure that the axes are in"
    assert plots.outcome(ds, ax=right.add_axes((0.2, 0.2, 0.6, 0.6))) is figure
    figure.draw_without_rendering()


@pytest.mark.parametrize("layout", [None, "tight", "compressed"])
def test_another_layout_engine_is_kept_and_gives_no_warning(ds, layout, recwarn):
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout=layout)
    plots.learning_rate_epoch(ds.sel(width=16), ax=axes[0])
    plots.loss_curves(ds.sel(width=64), ax=axes[1])
    figure.draw_without_rendering()
    assert not [str(each.message) for each in recwarn]
    assert not axes[0].get_position().overlaps(figure.axes[-1].get_position())


# What is refused


@pytest.mark.parametrize(
    ("name", "count", "told"),
    [
        ("curves", 1, "draws 2 panels, one for each width, and got 1 axes: give 2, or "
                      "select one value first, with .sel(width=[16.0])"),
        ("curves", 3, "draws 2 panels, one for each width, and got 3 axes: give 2, or "
                      "select one value first, with .sel(width=[16.0])"),
        ("outcome", 2, "draws 1 panel, and got 2 axes: give 1"),
        ("fits", 2, "draws 10 panels, one for each width and each of 5 of the 6 values of snapshot epoch, and got "
                    "2 axes: give 10, or select one value first, "
                    "with .sel(width=[16.0]) or .sel(snapshot_epoch=[0.0])"),
    ],
)  # fmt: skip
def test_another_number_of_axes_is_refused_with_the_way_to_have_fewer_panels(ds, name, count, told):
    given = Figure().subplots(1, count, squeeze=False)
    with pytest.raises(SweepError) as refused:
        FIGURES[name](ds, ax=given)
    assert str(refused.value) == f"figure {name!r} {told}"
    assert not any(axes.has_data() for axes in given.ravel())


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_refuses_too_many_axes_by_its_own_name(name, ds):
    with pytest.raises(SweepError, match=rf"^figure '{name}' draws \d+ panels?, .*and got 12 axes: give \d+"):
        FIGURES[name](fitting(name, ds), **OPTIONS.get(name, {}), ax=Figure().subplots(3, 4))


def test_the_choice_that_the_error_names_leaves_one_panel(ds):
    axes = Figure().subplots()
    plots.curves(ds.sel(width=[16.0]), ax=axes)
    lanes = union(epochs=np.array([0.0, 1, 10, 100]))
    for draw, told in (
        (lambda taken: plots.curves(taken, ax=axes), ".isel(point=[0])"),
        (lambda taken: plots.metric_epoch(taken, rows="learning_rate", ax=axes), ".isel(point=ds.optimizer == 'sgd')"),
    ):
        with pytest.raises(SweepError) as refused:
            draw(lanes)
        assert str(refused.value).endswith(f"or select one value first, with {told}")
        draw(eval(f"ds{told}", {"ds": lanes}))


def removed_axes():
    axes = Figure().subplots()
    axes.remove()
    return axes


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: Figure().add_subplot(projection="polar"), "figure 'outcome' draws on plain axes, got polar axes"),
        (lambda: removed_axes(), "figure 'outcome' got axes that were removed from their figure: give others"),
        (lambda: 3, "figure 'outcome' draws on matplotlib's axes, got int: give those of plt.subplots()"),
        (lambda: Figure(), "figure 'outcome' draws on matplotlib's axes, got Figure: give"),
        (lambda: [], "figure 'outcome' draws 1 panel, and got 0 axes: give 1"),
    ],
)
def test_anything_but_axes_is_refused(ds, given, told):
    with pytest.raises(SweepError) as refused:
        plots.outcome(ds, ax=given())
    assert str(refused.value).startswith(told)


def test_axes_of_two_figures_or_twice_the_same_are_refused(ds):
    one, other = Figure().subplots(), Figure().subplots()
    with pytest.raises(SweepError, match=r"^figure 'curves' got axes of several figures: give 2 different ones of one"):
        plots.curves(ds, ax=[one, other])
    with pytest.raises(SweepError, match=r"^figure 'curves' got the same axes twice: give 2 different ones of one"):
        plots.curves(ds, ax=[one, one])


def test_the_error_says_how_many_of_many_values_have_a_panel():
    ds = results({"seed": list(range(8)), "learning_rate": [1e-3, 1e-2]})
    with pytest.raises(SweepError, match="draws 6 panels, one for each of 6 of the 8 values of seed, and got 1 axes"):
        plots.heatmap(ds.loss, x="epoch", y="learning_rate", facet="seed", ax=Figure().subplots())


@pytest.mark.parametrize("name", FILMS)
def test_a_film_takes_no_axes(ds, name):
    with pytest.raises(SweepError, match=f"figure '{name}' is a film, which takes no axes: leave out ax"):
        FILMS[name](ds, ax=Figure().subplots())


def test_axes_are_no_option_of_a_page():
    for name in FIGURES:
        parameter = inspect.signature(FIGURES[name]).parameters["ax"]
        assert (parameter.kind, parameter.default) == (inspect.Parameter.KEYWORD_ONLY, None)
        assert "ax" not in KINDS[name].options
        with pytest.raises(SweepError, match=f"figure {name!r} has no option 'ax'"):
            PageFigure(name, {"ax": 1})
