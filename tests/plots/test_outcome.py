"""Figures of any metric over any knob: medians and shares at the end, and against epoch."""

import numpy as np
import pytest
import xarray as xr
from drawn import axes_of, hatches, legend, mesh_of, overlapping, texts
from matplotlib.colors import LogNorm
from synthetic import ended, results

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.page.specs.figure import KINDS, Figure, check, fitting_figures, references_of
from sweep.plots.drawing import style
from sweep.plots.drawing.cells import norm_of
from sweep.plots.drawing.view import view
from sweep.plots.registry import FIGURES

SMALL = np.array([0.0, 1, 3, 10, 30, 100])
NAN, INF = np.nan, np.inf


def knobs(**axes):
    """Results with an accuracy and an extrapolation error whose last values differ between lanes."""
    ds = results({"seed": range(5), **axes}, frequencies=[1.0], epochs=SMALL, points=2)
    draws = np.random.default_rng(0).random(ds["status"].shape)
    last = xr.DataArray(draws, ds["status"].coords, ds["status"].dims)
    for name, start in (("accuracy", 0.5), ("extrapolation_error", 1.0)):
        values = start + (last - start) * xr.ones_like(ds["epoch"]).where(ds["epoch"] > 0, 0)
        ds[name] = values.transpose(*ds["loss"].dims).assign_attrs(labels.METRICS[name].attributes())
    return ds


def union():
    """Three combinations of optimiser and learning rate along one dimension."""
    ds = knobs(momentum=[0.9, 0.8, NAN]).rename(momentum="point")
    along = {"optimizer": ["sgd", "sgd", "adam"], "initializer": ["zeros"] * 3, "momentum": [0.9, 0.8, NAN]}
    along["learning_rate"] = [0.1, 0.01, 0.01]
    return ds.assign_coords(point=range(3), **{name: ("point", values) for name, values in along.items()})


def rows_of(axes) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axes.get_yticklabels()]


def columns_of(axes) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axes.get_xticklabels()]


# Outcome


def test_outcome_draws_and_prints_the_median_of_the_last_values():
    ds = knobs(learning_rate=[1e-3, 1e-2], omega0=[1.0, 4.0, 16.0])
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate == 1e-2) & (ds.omega0 == 4) & (ds.seed < 3), from_record=2)
    ds = ended(ds, labels.NOT_RUN, (ds.learning_rate == 1e-2) & (ds.omega0 == 16))
    figure = FIGURES["outcome"](ds, metric="extrapolation_error")
    (axes,) = axes_of(figure)
    expected = np.median(ds["extrapolation_error"].values[..., -1], axis=0)
    expected[1, 1:] = NAN
    np.testing.assert_allclose(mesh_of(axes).get_array().filled(NAN), expected)
    printed = [text.get_text() for text in axes.texts]
    assert printed == [style.format_number(each) for each in expected.ravel() if np.isfinite(each)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("omega0", "learning rate")
    assert sorted(hatches(axes)) == sorted(style.HATCHES[each][2] for each in ("diverged", "not_run"))
    assert legend(figure) == ["median lane diverged", "not run"]
    row, column = np.unravel_index(np.nanargmin(expected), expected.shape)
    where = f"omega0 {ds.omega0.values[column]:g} and learning rate {ds.learning_rate.values[row]:g}"
    lowest = style.format_number(np.nanmin(expected))
    assert f"The lowest median final extrapolation error is {lowest}, at {where}" in texts(figure)


def test_rows_and_columns_are_the_named_ones_and_the_rest_makes_panels():
    ds = knobs(width=[16.0, 64.0], omega0=[1.0, 4.0, 16.0], activation=["relu", "sine"])
    panels = axes_of(FIGURES["outcome"](ds, rows="activation", columns="omega0"))
    assert [axes.get_title() for axes in panels] == ["width 16", "width 64"]
    assert rows_of(panels[0]) == ["relu", "sine"]
    for index, axes in enumerate(panels):
        expected = np.median(ds["loss"].values[:, index, :, :, -1], axis=0).T
        np.testing.assert_allclose(mesh_of(axes).get_array(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "shape"), [({}, (1, 3)), ({"rows": "omega0"}, (3, 1)), ({"columns": "omega0"}, (1, 3))]
)
def test_a_single_knob_is_a_single_row_or_column(options, shape):
    (axes,) = axes_of(FIGURES["outcome"](knobs(omega0=[1.0, 4.0, 16.0], depth=[3]), **options).figure)
    assert mesh_of(axes).get_array().shape == shape
    assert len(rows_of(axes)) == (3 if shape[0] == 3 else 0), "no tick where there is nothing to name"


def test_combinations_of_knobs_are_rows_named_by_what_differs():
    for name in ("outcome", "metric_epoch"):
        (axes,) = axes_of(FIGURES[name](union(), rows="point"))
        assert rows_of(axes) == ["sgd, momentum 0.9, learning rate 0.1", "sgd, momentum 0.8, learning rate 0.01",
                                 "adam, learning rate 0.01"]  # fmt: skip


def test_words_of_two_knobs_are_preceded_by_the_knobs_names():
    ds = union()
    ds["initializer"] = ("point", ["zeros", "orthogonal", "zeros"])
    (axes,) = axes_of(FIGURES["outcome"](ds.drop_vars(["momentum", "learning_rate"]), rows="point"))
    assert rows_of(axes)[0] == "optimizer sgd, initializer zeros"


def test_words_that_would_collide_below_a_panel_are_rotated_and_all_shown():
    names = ["glorot_uniform", "kaiming_uniform", "lecun_normal", "truncated_normal", "orthogonal", "zeros"]
    figure = FIGURES["outcome"](knobs(initializer=names))
    (axes,) = axes_of(figure)
    figure.draw_without_rendering()
    assert columns_of(axes) == names
    assert all(text.get_rotation() == 30 for text in axes.get_xticklabels())
    few = axes_of(FIGURES["outcome"](knobs(activation=["relu", "sine"])))[0]
    assert all(text.get_rotation() == 0 for text in few.get_xticklabels())


def test_the_caption_says_that_each_row_has_its_best_learning_rate():
    ds = knobs(learning_rate=[1e-3, 1e-2], optimizer=["sgd", "adam"])
    ds["loss"] = (
        ds["loss"] * 0 + abs(ds["learning_rate"] - xr.where(ds["optimizer"] == "sgd", 1e-3, 1e-2)) + 1
    ).transpose(*ds["loss"].dims)
    figure = FIGURES["metric_epoch"](ds, metric="accuracy", rows="optimizer")
    assert "At each optimizer's best learning rate" in texts(figure)
    last = np.median(ds["accuracy"].values[..., -1], axis=0)
    np.testing.assert_allclose(mesh_of(axes_of(figure)[0]).get_array()[:, -1], [last[0, 0], last[1, 1]])


def test_a_title_names_no_place_where_several_are_equally_good():
    ds = knobs(omega0=[1.0, 4.0, 16.0], depth=[1, 2])
    ds["accuracy"] = (ds["accuracy"] * 0 + xr.where(ds["omega0"] > 1, 1.0, 0.5)).transpose(*ds["loss"].dims)
    assert "highest median final accuracy is 1, at 4 of 6 combinations" in texts(
        FIGURES["outcome"](ds, metric="accuracy")
    )
    one = ds.isel(depth=0, drop=True)
    assert "is 1, at 2 of 3 values of omega0" in texts(FIGURES["outcome"](one, metric="accuracy"))


# Share


@pytest.mark.parametrize(
    ("metric", "option", "lost_count"),
    [
        ("loss", "at_most", False),
        ("loss", "at_least", True),
        ("accuracy", "at_most", True),
        ("accuracy", "at_least", False),
    ],
)
def test_share_counts_seeds_and_a_lost_lane_as_a_bad_one(metric, option, lost_count):
    ds = knobs(omega0=[1.0, 4.0, 16.0, 64.0])
    ds["loss"] = ds["accuracy"].rename("loss").drop_attrs()  # the same numbers: only what a lost lane counts as differs
    ds = ended(ds, labels.DIVERGED, (ds.omega0 == 4) & (ds.seed < 2), from_record=2)
    ds = ended(ds, labels.NOT_RUN, (ds.omega0 == 16) & (ds.seed < 3))
    ds = ended(ds, labels.NOT_RUN, ds.omega0 == 64)
    figure = FIGURES["share"](ds, metric=metric, **{option: 0.4})
    (axes,) = axes_of(figure)
    last = ds[metric].values[..., -1].T
    counts = [
        [value <= 0.4 if option == "at_most" else value >= 0.4 for value in row if np.isfinite(value)] for row in last
    ]
    counts[1] += [lost_count] * 2
    expected = [*(np.mean(each) for each in counts[:3]), NAN]
    np.testing.assert_allclose(mesh_of(axes).get_array().filled(NAN)[0], expected)
    assert mesh_of(axes).get_clim() == (0, 1)
    assert "a lane that diverged has the worst value" in texts(figure)
    good = "viridis" if option == ("at_most" if metric == "loss" else "at_least") else "viridis_r"
    assert mesh_of(axes).cmap.name == good


def test_the_title_of_share_names_the_most_and_the_fewest():
    ds = knobs(depth=[1, 2])
    ds["loss"] = (ds["loss"] * 0 + xr.where((ds["depth"] == 2) & (ds["seed"] > 0), 0.5, 0.01)).transpose(
        *ds["loss"].dims
    )
    assert "80% of seeds end with a final loss of at least 0.15 at depth 2, 0% at depth 1" in texts(
        FIGURES["share"](ds, at_least=0.15)
    )
    assert "100% of seeds end with a final loss of at most 0.6 at all 2 values of depth" in texts(
        FIGURES["share"](ds, at_most=0.6)
    )


# Against epoch


def test_metric_epoch_draws_any_metric_over_any_knob():
    ds = ended(knobs(optimizer=["sgd", "adam"]), labels.DIVERGED, True, from_record=3).isel(seed=slice(2))
    ds = xr.concat([ds, knobs(optimizer=["sgd", "adam"]).isel(seed=slice(2, 5))], "seed")
    figure = FIGURES["metric_epoch"](ds, metric="accuracy", rows="optimizer")
    (axes,) = axes_of(figure)
    values = np.where(np.isnan(ds["accuracy"].values), -INF, ds["accuracy"].values)
    np.testing.assert_allclose(mesh_of(axes).get_array(), np.median(values, axis=0))
    assert rows_of(axes) == ["sgd", "adam"]
    assert mesh_of(axes).cmap.name == "viridis", "high is good, so high is bright"
    most = ended(knobs(optimizer=["sgd", "adam"]), labels.DIVERGED, True, from_record=3)
    assert hatches(axes_of(FIGURES["metric_epoch"](most, metric="accuracy"))[0]) == [style.HATCHES["diverged"][2]]


def test_metric_curves_draw_any_metric_with_a_line_per_value_of_any_knob():
    ds = knobs(learning_rate=[1e-3], optimizer=["sgd", "adam"])
    ds = ended(ds, labels.DIVERGED, (ds.optimizer == "sgd") & (ds.seed < 3), from_record=4)
    ds = ended(ds, labels.DIVERGED, (ds.optimizer == "adam") & (ds.seed < 2), from_record=4)
    figure = FIGURES["metric_curves"](ds, metric="accuracy", lines="optimizer")
    (axes,) = axes_of(figure)
    expected = np.median(np.nan_to_num(ds["accuracy"].sel(optimizer="adam").values[:, 0], nan=-INF), axis=0)
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 2]
    np.testing.assert_allclose(lines[1][np.isfinite(lines[1])], expected[-len(lines[1]) :])
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] < np.nanmin(expected) < np.nanmax(expected) < axes.get_ylim()[1]
    assert legend(figure) == ["sgd", "adam", "median lane diverged"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x"] == [10]
    assert "highest median final accuracy" in texts(figure)


def test_metric_curves_of_decades_are_logarithmic_as_those_of_the_loss():
    ds = results({"seed": range(3), "learning_rate": [1e-3, 1e-2]}, epochs=SMALL)
    first, second = (axes_of(FIGURES[name](ds))[0] for name in ("metric_curves", "loss_curves"))
    assert first.get_yscale() == second.get_yscale() == "log"
    assert first.get_ylim() == second.get_ylim()


@pytest.mark.parametrize(
    ("values", "log", "low", "high"),
    [
        ([0.01, 1.0, INF, NAN], True, 0.01, 1),
        ([0.2, 1.0], False, 0.2, 1),
        ([-1.0, 0.1, 5.0], False, -1, 5),
        ([0.0, 1e-3, 1.0], True, 1e-3, 1),
        ([0.5, 0.5], False, 0, 0.5),
        ([0.0, 0.0], False, 0, 1),
        ([NAN, INF], False, 0, 1),
        ([0.6, 0.7, 5.5], False, 0.6, 5),
    ],
)
def test_colours_are_logarithmic_where_values_span_decades(values, log, low, high):
    norm = norm_of([xr.DataArray(values)], highest=5.0)
    assert isinstance(norm, LogNorm) == log
    assert (norm.vmin, norm.vmax) == pytest.approx((low, high))


def test_a_number_on_the_palest_colour_is_black():
    ds = knobs(omega0=[1.0, 4.0, 16.0])
    ds["loss"] = (ds["loss"] * 0 + xr.DataArray([0.0, 0.01, 1.0], dims="omega0")).transpose(*ds["loss"].dims)
    (axes,) = axes_of(FIGURES["outcome"](ds))
    assert [(text.get_text(), text.get_color()) for text in axes.texts] == [
        ("0", "black"),
        ("0.01", "black"),
        ("1", "white"),
    ]


# What is asked for


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("outcome", {"metric": "spatial_error"}, "a single number per record"),
        ("outcome", {"metric": "prediction"}, "a single number per record"),
        ("outcome", {"metric": 3.0}, "must be a name"),
        ("outcome", {"rows": "seed"}, "can't be 'seed'"),
        ("metric_epoch", {"rows": "epoch"}, "must be a swept dimension"),
        ("metric_curves", {"lines": "loss"}, "must be a swept dimension"),
        ("outcome", {"rows": "width", "columns": "width"}, "both rows and columns"),
        ("share", {}, "either at_most or at_least"),
        ("share", {"at_most": 1, "at_least": 0}, "either at_most or at_least"),
        ("share", {"at_most": NAN}, "at_most of figure 'share'"),
        ("growth", {"metric": "loss"}, "it takes no options"),
        ("metric_epoch", {"columns": "width"}, "it takes metric, rows"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(SweepError, match=message):
        Figure(name, options)


def test_variables_named_in_options_must_exist():
    figure = Figure("share", {"at_most": 0.1, "metric": "accuracy", "rows": "omega0"})
    assert set(references_of(figure)) == {"accuracy", "omega0"}
    assert references_of(Figure("outcome")) == ("loss",)
    assert references_of(Figure("loss_curves", {"reference": "closed_form"})) == ("closed_form",)
    assert references_of(Figure("epochs_to_converge", {"threshold": 1.0})) == ()
    check(figure, frozenset({"accuracy", "omega0"}))
    with pytest.raises(SweepError, match="needs 'omega0', which these results lack"):
        check(figure, frozenset({"accuracy", "loss"}))


def test_metrics_over_more_than_epochs_and_unswept_rows_are_refused_when_drawn():
    ds = knobs(omega0=[1.0, 4.0]).assign(own=lambda ds: ds["spatial_error"])
    with pytest.raises(SweepError, match="'own' is over epoch and x: name one that is a single number per record"):
        FIGURES["outcome"](ds, metric="own")
    with pytest.raises(SweepError, match="unknown swept dimension 'own'"):
        FIGURES["metric_curves"](ds, lines="own")
    with pytest.raises(SweepError, match="needs 'depth'"):
        FIGURES["outcome"](ds, rows="depth")


def test_figures_on_request_are_drawn_only_if_named():
    ds = knobs(omega0=[1.0, 4.0])
    fit = fitting_figures(frozenset(map(str, (*ds.data_vars, *ds.dims))))
    assert not any(KINDS[figure.name].on_request for figure in fit)


def test_if_lanes_ended_early_the_first_learning_rate_at_the_target_is_shown():
    ds = results({"seed": range(3), "learning_rate": [1e-3, 1e-2], "width": [16.0]}, epochs=SMALL)
    ds["status"] = xr.full_like(ds["status"], labels.REACHED)
    ds["stop_epoch"] = (ds["status"] * 0.0 + xr.where(ds["learning_rate"] == 1e-3, 3.0, 10.0)).transpose(
        *ds["status"].dims
    )
    assert stats.best_learning_rate(ds) == 1e-3, "although the other's loss is lower in the end"
    figure = FIGURES["learning_rate_epoch"](ds)
    assert "lowest at learning rate 0.001" in texts(figure)
    assert "soonest at the target" in texts(FIGURES["frequency_epoch"](ds))
    assert view(ds).data["learning_rate"] == 1e-3
    assert not overlapping(figure.texts)
    ds["status"] = xr.full_like(ds["status"], labels.PLATEAUED)
    assert stats.best_learning_rate(ds) == 1e-2, "to stop improving soon is no merit"
    shown = texts(FIGURES["frequency_epoch"](ds))
    assert "lowest median final loss" in shown
    assert "soonest at the target" not in shown
    assert "6 stopped improving, their values carried forward" in " ".join(shown.split())


def test_an_accuracy_that_rises_from_chance_by_more_than_ten_times_is_neither_cut_off_nor_on_decades():
    ds = knobs(learning_rate=[1e-3], optimizer=["sgd", "adam"])
    ds["accuracy"] = (ds["accuracy"] * 0 + xr.where(ds["epoch"] > 0, 1.0, 0.02)).assign_attrs(ds["accuracy"].attrs)
    ds["accuracy"] = ds["accuracy"].transpose(*ds["loss"].dims)
    (axes,) = axes_of(FIGURES["metric_curves"](ds, metric="accuracy", lines="optimizer"))
    assert axes.get_yscale() == "linear"
    for figure in (
        FIGURES["heatmap"](ds, metric="accuracy", y="optimizer"),
        FIGURES["metric_epoch"](ds, metric="accuracy", rows="optimizer"),
        FIGURES["outcome"](ds, metric="accuracy", rows="optimizer"),
    ):
        assert mesh_of(axes_of(figure)[0]).norm.vmax == 1
