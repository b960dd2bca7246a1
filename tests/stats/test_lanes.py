"""Statistics over seeds against NumPy, SciPy and results computed by hand."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import EPOCHS, ended, results, time_constant

from sweep import stats
from sweep.base import labels
from sweep.base.errors import SweepError

NAN, INF = np.nan, np.inf


def seeds(*values):
    return xr.DataArray(list(values), dims="seed")


def over_epochs(*values, epochs=(0, 1, 5, 20)):
    return xr.DataArray(
        np.asarray(values, float),
        dims=(*["lane"] * (np.ndim(values) - 1), "epoch"),
        coords={"epoch": list(epochs)},
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_quartiles_are_numpys_where_all_is_finite(values):
    found = stats.over_seeds(seeds(*values))
    expected = np.quantile(values, [0.25, 0.5, 0.75])
    got = [found[name].item() for name in ("lower", "median", "upper")]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("values", "lower", "median", "upper", "count"),
    [
        ((1, 2, 3, INF), 1.75, 2.5, INF, 4),
        ((1, INF, INF), INF, INF, INF, 3),
        ((1, 2, INF), 1.5, 2, INF, 3),
        ((INF, INF, INF, INF), INF, INF, INF, 4),
        ((1, 3, NAN, NAN), 1.5, 2, 2.5, 2),
        ((NAN, INF), INF, INF, INF, 1),
        ((NAN, NAN), NAN, NAN, NAN, 0),
        ((1, 2, 3, 4, INF), 2, 3, 4, 5),
    ],
)
def test_infinity_counts_and_nan_does_not(values, lower, median, upper, count):
    found = stats.over_seeds(seeds(*values))
    got = [found[name].item() for name in ("lower", "median", "upper", "count")]
    np.testing.assert_array_equal(got, [lower, median, upper, count])


def test_quartiles_of_a_cell_do_not_depend_on_what_the_other_cells_lack():
    """Where all cells have data they share one position; a single NaN anywhere gives each cell its own."""
    values = np.random.default_rng(0).random((6, 5))
    values[:, 1] = INF
    complete = stats.over_seeds(xr.DataArray(values, dims=("seed", "cell")))
    values[2, 4] = NAN
    with_gap = stats.over_seeds(xr.DataArray(values, dims=("seed", "cell")))
    for name, share in (("lower", 0.25), ("median", 0.5), ("upper", 0.75)):
        np.testing.assert_array_equal(complete[name][:4], with_gap[name][:4])
        assert with_gap[name][4] == pytest.approx(np.nanquantile(values[:, 4], share))
    np.testing.assert_array_equal(stats.median(xr.DataArray(values, dims=("seed", "cell"))), with_gap["median"])


def test_the_initial_value_is_the_median_over_the_lanes_that_have_one():
    ds = results({"seed": range(4)})
    ds["loss"][:, 0] = [1.0, 2.0, 4.0, 9.0]
    assert stats.initial(ds, "loss") == 3
    assert stats.initial(ended(ds, labels.DIVERGED, ds.seed == 0), "loss") == 4
    assert np.isnan(stats.initial(ended(ds, labels.NOT_RUN, True), "loss"))


def test_without_a_seed_dimension_every_cell_is_one_seed():
    found = stats.over_seeds(over_epochs(3, 2, INF, NAN))
    np.testing.assert_array_equal(found["median"], [3, 2, INF, NAN])
    np.testing.assert_array_equal(found["count"], [1, 1, 1, 0])


@pytest.mark.parametrize("code", [labels.DIVERGED, labels.FAILED, labels.CUT])
def test_lost_lanes_are_infinite_from_that_record_on_and_unseen_ones_are_no_data(code):
    ds = results({"seed": range(4)})
    ds = ended(ds, code, ds.seed == 1, from_record=3)
    ds = ended(ds, labels.RUNNING, ds.seed == 2, from_record=3)
    ds = ended(ds, labels.NOT_RUN, ds.seed == 3)
    loss = stats.measured(ds, "loss")
    assert loss.dims == ds["loss"].dims
    assert loss.attrs == ds["loss"].attrs
    np.testing.assert_array_equal(loss.sel(seed=0), ds["loss"].sel(seed=0))
    assert np.isfinite(loss.sel(seed=1)[:3]).all()
    assert (loss.sel(seed=1)[3:] == INF).all()
    assert loss.sel(seed=[2, 3]).isnull().all()


def test_a_variable_that_is_not_there_is_refused_by_name():
    with pytest.raises(SweepError, match="no 'clean_loss'"):
        stats.measured(results({"seed": [0]}), "clean_loss")


def test_final_is_the_last_record_with_lost_lanes_infinite():
    ds = results({"seed": range(3)})
    ds = ended(ds, labels.DIVERGED, ds.seed == 2, from_record=5)
    last = stats.final(ds, "loss")
    assert last.dims == ("seed",)
    np.testing.assert_array_equal(last, [*ds["loss"].values[:2, -1], INF])


def with_final_losses(losses, statuses):
    """Results of three learning rates and some seeds with given final losses."""
    losses = np.asarray(losses, float)
    ds = results({"seed": range(losses.shape[0]), "learning_rate": [0.001, 0.01, 0.1]}, epochs=np.array([0.0, 1.0]))
    ds["loss"][..., -1] = losses
    ds["status"][:] = np.asarray(statuses, np.int8)
    return ds


OK, BAD, NEW = labels.FINISHED, labels.DIVERGED, labels.NOT_RUN


@pytest.mark.parametrize(
    ("losses", "statuses", "best", "position"),
    [
        ([[3, 2, 1]], [[OK, OK, OK]], 0.1, 2),
        ([[3, 2, NAN]], [[OK, OK, BAD]], 0.01, 1),
        # The mean and the best seed would choose 0.1, where most seeds diverged.
        ([[3, 2, 0.1], [3, 2, NAN], [3, 2, NAN]], [[OK, OK, OK], [OK, OK, BAD], [OK, OK, BAD]], 0.01, 1),
        # One diverged of three leaves the median finite and lowest.
        ([[3, 2, 0.1], [3, 2, 0.1], [3, 2, NAN]], [[OK, OK, OK], [OK, OK, OK], [OK, OK, BAD]], 0.1, 2),
        ([[2, 2, 2]], [[OK, OK, OK]], 0.001, 0),
        ([[NAN, NAN, NAN]], [[NEW, BAD, BAD]], NAN, 1),
        ([[NAN, NAN, NAN]], [[NEW, NEW, NEW]], NAN, 0),
    ],
)
def test_best_learning_rate_by_hand(losses, statuses, best, position):
    ds = with_final_losses(losses, statuses)
    np.testing.assert_array_equal(stats.best_learning_rate(ds), best)
    selected = stats.at_best_learning_rate(ds, ds["loss"])
    np.testing.assert_array_equal(selected, ds["loss"].isel(learning_rate=position))
    assert selected["learning_rate"] == ds["learning_rate"][position]


def test_each_width_has_its_own_best_learning_rate():
    ds = results({"seed": range(3), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0]})
    ds = ended(ds, labels.DIVERGED, (ds.learning_rate > 5e-3) & (ds.width > 20))
    best = stats.best_learning_rate(ds)
    assert best.dims == ("width",)
    np.testing.assert_array_equal(best, [1e-2, 1e-3])
    error = stats.at_best_learning_rate(ds, ds["spectral_error"])
    for width, rate in ((16, 1e-2), (64, 1e-3)):
        expected = ds["spectral_error"].sel(width=width, learning_rate=rate)
        np.testing.assert_array_equal(error.sel(width=width).transpose(*expected.dims), expected)


def test_without_learning_rates_results_are_returned_as_they_are():
    ds = results({"seed": range(2)})
    assert stats.at_best_learning_rate(ds, ds) is ds


@pytest.mark.parametrize(
    ("values", "epoch", "reason"),
    [
        ((1, 0.5, 0.2, 0.1), 1, "reached"),
        ((1, 0.9, 0.8, 0.51), INF, "censored"),
        ((1, 0.9, 0.8, 0.5), 20, "reached"),
        ((0.1, 9, 9, 9), 0, "reached"),
        ((1, 0.9, NAN, NAN), INF, "diverged"),
        ((1, 0.9, INF, INF), INF, "diverged"),
        ((INF, INF, INF, INF), INF, "diverged"),
        ((1, 0.4, INF, INF), 1, "reached"),
        ((NAN, NAN, NAN, NAN), NAN, "not_run"),
    ],
)
def test_epochs_to_a_threshold(values, epoch, reason):
    found = stats.epochs_to(over_epochs(*values), 0.5)
    np.testing.assert_array_equal(found["epoch"], epoch)
    assert found["reason"].attrs["flag_meanings"].split()[found["reason"].item()] == reason
    assert found["reason"].dtype == np.int8


@pytest.mark.parametrize(
    ("status", "epoch", "reason"),
    [
        (labels.CUT, INF, "censored"),
        (labels.DIVERGED, INF, "diverged"),
        (labels.FAILED, INF, "diverged"),
        (labels.RUNNING, NAN, "not_run"),
        (labels.NOT_RUN, NAN, "not_run"),
    ],
)
def test_status_tells_apart_lanes_that_end_in_nan(status, epoch, reason):
    found = stats.epochs_to(over_epochs([1, 0.9, NAN, NAN]), 0.5, xr.DataArray([status], dims="lane"))
    np.testing.assert_array_equal(found["epoch"], [epoch])
    assert stats.REASONS[found["reason"].item()] == reason


def test_a_lane_that_failed_before_its_first_record_is_not_a_lane_that_never_ran():
    found = stats.epochs_to(over_epochs([NAN] * 4), 0.5, xr.DataArray([labels.FAILED], dims="lane"))
    np.testing.assert_array_equal(found["epoch"], [INF])


def test_halving_epochs_are_the_closed_forms():
    """exp(-epoch / tau) is at most 1/2 from tau ln 2 on; the median seed is the middle one."""
    ds = results({"seed": range(5), "learning_rate": [1e-3]})
    halving = stats.halving_epoch(stats.median(stats.measured(ds, "spectral_error"))).squeeze()
    exact = (time_constant(ds["frequency"], ds.sel(seed=2)) * np.log(2)).squeeze()
    expected = [EPOCHS[each <= EPOCHS].min() for each in exact.values]
    np.testing.assert_array_equal(halving, expected)


@pytest.mark.parametrize(
    "halving",
    [
        [1, 2, 3, 4, 5],
        [5, 4, 3, 2, 1],
        [1, 3, 2, 9, 4],
        [1, 2, INF, INF, INF],
        [INF, 2, 2, 7, INF],
        [3, 3, 3, 4, 3],
    ],
)
def test_order_of_convergence_is_spearmans_on_ranks_with_the_unreached_last(halving):
    frequency = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
    array = xr.DataArray(np.asarray(halving, float), dims="frequency", coords={"frequency": frequency})
    expected = scipy.stats.spearmanr(frequency, scipy.stats.rankdata(halving)).statistic
    assert stats.order_of_convergence(array).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("halving", [[2, 2, 2], [INF, INF, INF], [NAN, NAN, 1], [NAN, NAN, NAN]])
def test_order_of_convergence_without_an_order_is_nan(halving):
    array = xr.DataArray(np.asarray(halving, float), dims="frequency", coords={"frequency": [1.0, 2.0, 3.0]})
    assert np.isnan(stats.order_of_convergence(array))


def test_summary_says_per_width_what_became_of_the_lanes():
    ds = results({"seed": range(4), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0]})
    ds = ended(ds, labels.DIVERGED, (ds.width == 64) & (ds.seed == 0), from_record=4)
    ds = ended(ds, labels.NOT_RUN, (ds.width == 64) & (ds.seed == 3))
    table = stats.summary(ds)
    assert set(table.dims) == {"width", "frequency"}
    np.testing.assert_array_equal(table["best_learning_rate"], [1e-2, 1e-2])
    np.testing.assert_array_equal(table["finished"], [4, 2])
    np.testing.assert_array_equal(table["lost"], [0, 1])
    np.testing.assert_array_equal(table["not_run"], [0, 1])
    assert (table["order_of_convergence"] > 0.85).all()
    last = ds["loss"].sel(learning_rate=1e-2, width=16).isel(epoch=-1)
    assert table["final_loss"].sel(width=16).item() == np.median(last)


@pytest.mark.parametrize("axes", [{}, {"seed": range(3)}, {"width": [1.0, 2.0]}, {"learning_rate": [0.1]}])
def test_summary_of_pages_that_sweep_less(axes):
    table = stats.summary(results(axes))
    assert ("best_learning_rate" in table) == ("learning_rate" in axes)
    assert set(table["final_loss"].dims) == set(axes) & {"width"}
    assert (table["finished"] == len(axes.get("seed", [0]))).all()


def test_summary_without_spectral_errors_has_the_loss_alone():
    table = stats.summary(results({"seed": range(2)}).drop_vars("spectral_error"))
    assert "halving_epoch" not in table
    assert np.isfinite(table["final_loss"])


def test_seeds_inside_a_union_are_not_averaged():
    ds = results({"momentum": [0.1, 0.2, 0.3]}).rename(momentum="point").assign_coords(seed=("point", [0, 1, 2]))
    found = stats.over_seeds(stats.final(ds, "loss"))
    assert found["median"].dims == ("point",)
    assert (found["count"] == 1).all()
