"""Measures against NumPy and SciPy, lane by lane, and closed forms; a lost lane looks good in none."""

import numpy as np
import pytest
import scipy.signal
import scipy.stats
import xarray as xr
from synthetic import results

from sweep import measures, stats
from sweep.base import labels
from sweep.base.errors import SweepError

NAN, INF = np.nan, np.inf
EPOCHS = np.array([0.0, 1, 3, 10])
X = np.linspace(-2, 2, 41)


def lanes(*, status=(labels.FINISHED, labels.FINISHED), x=X, epochs=EPOCHS, **arrays):
    """Results of a few seeds; each array is over seed and the dimensions that its name has here."""
    dims = {
        "loss": ("epoch",),
        "accuracy": ("epoch",),
        "spatial_error": ("epoch", "x"),
        "prediction": ("snapshot_epoch", "x"),
        "target": ("x",),
        "gradient_norm": ("epoch", "layer"),
    }
    coords = {"seed": np.arange(len(status)), "epoch": epochs, "x": x, "snapshot_epoch": [0.0, 10.0]}
    variables = {name: (("seed", *dims[name]), np.asarray(values, float)) for name, values in arrays.items()}
    coords["layer"] = np.arange(3)
    return xr.Dataset({"status": ("seed", np.array(status, np.int8)), **variables}, coords)


def noisy(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


LOST = (labels.FINISHED, labels.DIVERGED, labels.NOT_RUN)


def three(values):
    """Values of three lanes, of which the second is lost after the second record and the third has not run."""
    values = np.array(values, float)
    values[1, 2:] = NAN
    values[2] = NAN
    return values


# Regions and errors


@pytest.mark.parametrize(
    ("mask", "inside"),
    [
        (lambda ds: measures.within(ds, -1, 0.5), lambda x: -1 <= x <= 0.5),
        (lambda ds: measures.near(ds, (-1.5, 1), 0.3), lambda x: min(abs(x + 1.5), abs(x - 1)) <= 0.3),
        (measures.beyond_range, lambda x: x < -1 or x > 1.5),
        (lambda ds: abs(ds.x) > 1, lambda x: abs(x) > 1),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_the_error_over_a_region_is_that_of_a_loop_over_its_points(mask, inside, order):
    x = X + 0.013  # no point on a border
    ds = lanes(spatial_error=noisy(2, 4, 41), x=x)
    ds["x"].attrs.update(train_low=-1.0, train_high=1.5)
    found = measures.error_where(ds, mask(ds), order)
    assert found.dims == ("seed", "epoch")
    for seed in range(2):
        for record in range(4):
            errors = [e for e, at in zip(ds.spatial_error.values[seed, record], x, strict=True) if inside(at)]
            expected = (sum(e**order for e in errors) / len(errors)) ** (1 / order)
            assert found.values[seed, record] == pytest.approx(expected)


def test_error_in_is_the_root_mean_square_between_two_ends_with_both():
    ds = lanes(spatial_error=noisy(2, 4, 5), x=np.arange(5.0))
    expected = np.sqrt(np.mean(ds.spatial_error.values[..., 1:4] ** 2, axis=-1))
    np.testing.assert_allclose(measures.error_in(ds, 1, 3), expected)


def test_errors_of_a_lost_lane_are_infinite_and_those_of_one_that_has_not_run_nan():
    ds = lanes(status=LOST, spatial_error=three(noisy(3, 4, 41)))
    found = measures.error_in(ds, -1, 1).values
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1, :2]).all()
    np.testing.assert_array_equal(found[1:, 2:], [[INF, INF], [NAN, NAN]])


def test_a_region_without_a_point_and_an_unknown_training_range_are_refused():
    ds = lanes(spatial_error=noisy(2, 4, 41))
    with pytest.raises(SweepError, match=r"no point of x lies in the region .* x goes from -2 to 2"):
        measures.error_in(ds, 3, 4)
    with pytest.raises(SweepError, match="do not say on which x"):
        measures.beyond_range(ds)
    with pytest.raises(SweepError, match="no 'spatial_error'"):
        measures.error_in(ds.drop_vars("spatial_error"), 0, 1)
    with pytest.raises(SweepError, match="have no x: record"):
        measures.error_in(ds.drop_dims("x"), 0, 1)


@pytest.mark.parametrize("centre", [0.0, 0.5, -2.0])
def test_the_radius_is_where_a_walk_outwards_first_meets_a_large_error(centre):
    ds = lanes(spatial_error=noisy(2, 4, 41) ** 4, x=np.random.default_rng(1).permutation(X))
    found = measures.radius(ds, 0.3, centre)
    assert found.dims == ("seed", "epoch")
    for at, errors in np.ndenumerate(np.empty((2, 4))):
        errors, reach = ds.spatial_error.values[at], 0.0
        for distance in sorted(np.abs(ds.x.values - centre)):
            if (errors[np.abs(ds.x.values - centre) <= distance] > 0.3).any():
                break
            reach = distance
        assert found.values[at] == pytest.approx(reach)


def test_the_radius_of_a_fit_that_grows_is_known():
    grown = np.where(np.abs(X)[None] <= np.array([-1, 0.5, 1, 3])[:, None], 0.04, 1.0)
    ds = lanes(status=LOST, spatial_error=three([grown, grown, grown]))
    np.testing.assert_allclose(measures.radius(ds, 0.05), [[0, 0.5, 1, 2], [0, 0.5, 0, 0], [NAN] * 4])


# The shape of the last fit


def with_prediction(*curves, status=None, target=None):
    outputs = [[np.zeros_like(X), curve] for curve in curves]
    status = status or (labels.FINISHED,) * len(curves)
    return lanes(status=status, prediction=outputs, target=[X if target is None else target] * len(curves))


def test_extrema_of_the_last_output_are_those_that_scipy_finds():
    curves = np.cumsum(noisy(5, 41) - 0.5, axis=-1)
    found = measures.extrema(with_prediction(*curves), -1.01, 1.51).values
    inside = curves[:, (X >= -1.01) & (X <= 1.51)]
    count = [sum(scipy.signal.argrelextrema(c, each)[0].size for each in (np.less, np.greater)) for c in inside]
    np.testing.assert_array_equal(found, count)
    assert found.max() > 5


def test_a_plateau_counts_once_where_it_is_an_extremum_and_a_step_not_at_all():
    rise = np.linspace(0, 1, 41)
    top = np.minimum(rise, rise[::-1]).clip(max=0.3)
    stairs = np.floor(rise * 5)
    flat_ends = np.sin(X).clip(-0.5, 0.5)
    shoulder = np.interp(np.arange(41), [0, 5, 20, 25, 40], [0, 1, 0.5, 0.5, 0])
    ds = with_prediction(top, stairs, flat_ends, rise * 0, shoulder)
    np.testing.assert_array_equal(measures.extrema(ds, -2, 2), [1, 0, 0, 0, 1])
    mixed = ds.isel(x=np.random.default_rng(0).permutation(41))
    np.testing.assert_array_equal(measures.extrema(mixed, -2, 2), [1, 0, 0, 0, 1])


def test_small_ripples_are_left_out_where_flat_says_so():
    ripples = 1e-7 * (-1.0) ** np.arange(41)
    ds = with_prediction(ripples, np.clip(2 * X, -1, 1) ** 2 + ripples)
    assert measures.extrema(ds, -2, 2)[0] == 39
    assert measures.extrema(ds, -2, 2)[1] > 10
    np.testing.assert_array_equal(measures.extrema(ds, -2, 2, flat=1e-6), [0, 1])


def test_spurious_extrema_are_those_beyond_the_targets():
    ds = with_prediction(np.sin(5 * X), X, target=np.sin(2 * X))
    # sin 5x has extrema at (2k + 1) pi / 10, of which 6 lie within 2 of 0; sin 2x has 2
    np.testing.assert_array_equal(measures.spurious_extrema(ds, -2, 2), [4, -2])


def test_a_lost_lane_has_infinitely_many_extrema():
    ds = with_prediction(X, X * NAN, X * NAN, status=LOST)
    np.testing.assert_array_equal(measures.extrema(ds, -2, 2), [0, INF, NAN])
    np.testing.assert_array_equal(measures.spurious_extrema(ds, -2, 2), [0, INF, NAN])


# Whether a lane fits at the end


def test_stuck_is_near_a_plateau_and_a_lost_lane_has_failed_but_is_not_stuck():
    final = [0.5, 0.51, 0.54, 0.196, 0.2, 0.01, NAN, NAN]
    status = (labels.FINISHED,) * 6 + (labels.DIVERGED, labels.NOT_RUN)
    ds = lanes(status=status, loss=[[1, 1, 1, value] for value in final])
    np.testing.assert_array_equal(measures.stuck_at(ds, (0.5, 0.196)), [1, 1, 0, 1, 1, 0, 0, NAN])
    np.testing.assert_array_equal(measures.stuck_at(ds, (0.5,), 0.1), [1, 1, 1, 0, 0, 0, 0, NAN])
    np.testing.assert_array_equal(measures.failed_to_fit(ds, 0.196), [1, 1, 1, 0, 1, 0, 1, NAN])


def test_a_lost_lane_has_the_worst_accuracy_and_the_worst_loss():
    values = three([[0, 0.5, 0.9, 1.0]] * 3)
    ds = lanes(status=LOST, accuracy=values, loss=values)
    np.testing.assert_array_equal(measures.final(ds, "accuracy"), [1, -INF, NAN])
    np.testing.assert_array_equal(measures.final(ds, "loss"), [1, INF, NAN])
    np.testing.assert_array_equal(measures.recorded(ds, "accuracy")[1], [0, 0.5, -INF, -INF])
    first = stats.epochs_to(1 - measures.recorded(ds, "accuracy"), 0.2)["epoch"]
    np.testing.assert_array_equal(first, [3, INF, NAN])


# Times and the course of training


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        (10, 25, 2.5),
        (10, INF, INF),
        (INF, 10, 0),
        (INF, INF, NAN),
        (0, 0, 1),
        (0, 5, INF),
        (0, INF, INF),
        (5, 0, 0),
        (NAN, 5, NAN),
        (5, NAN, NAN),
        (0, NAN, NAN),
    ],
)
def test_the_ratio_of_two_times_of_which_some_are_infinite(first, second, ratio):
    times = [xr.DataArray([float(each)], dims="seed") for each in (first, second)]
    np.testing.assert_array_equal(measures.ratio_of_times(*times), [ratio])


def test_the_gradient_ratio_is_first_over_last_layer_of_each_lanes_own_depth():
    norms = np.array([[2.0, 5, 8], [3, 6, NAN], [1, 9, 4], [7, 7, 7]])[:, None] * np.ones((4, 4, 1))
    norms[2, 2:] = NAN
    norms[3] = NAN
    norms[0, 3] = 0
    norms[1, 3] = [1, 0, NAN]
    status = (labels.FINISHED, labels.FINISHED, labels.DIVERGED, labels.NOT_RUN)
    found = measures.gradient_ratio(lanes(status=status, gradient_norm=norms))
    assert found.dims == ("seed", "epoch")
    expected = [[0.25, 0.25, 0.25, NAN], [0.5, 0.5, 0.5, INF], [0.25, 0.25, INF, INF], [NAN] * 4]
    np.testing.assert_array_equal(found, expected)


def test_jitter_is_the_deviation_of_the_steps_of_the_logarithm_at_the_end():
    epochs = np.arange(101.0)
    loss = 10 ** noisy(4, 101)
    loss[1, 90:] = NAN
    loss[2] = NAN
    loss[3] = 0
    status = (labels.FINISHED, labels.DIVERGED, labels.NOT_RUN, labels.FINISHED)
    ds = lanes(status=status, loss=loss, epochs=epochs)
    expected = np.std(np.diff(np.log10(loss[0, 80:])))
    np.testing.assert_allclose(measures.jitter(ds), [expected, INF, NAN, 0])
    np.testing.assert_allclose(measures.jitter(ds, 0.5)[0], np.std(np.diff(np.log10(loss[0, 50:]))))
    np.testing.assert_allclose(measures.jitter(ds, 0.02)[0], np.std(np.diff(np.log10(loss[0, 98:]))))
    assert np.isnan(measures.jitter(ds, 0.01)[0]), "one step has no deviation"
    assert measures.jitter(ds, 0.01)[1] == INF


def test_monotonicity_is_spearmans_correlation_with_the_epoch():
    values = noisy(3, 9)
    values[1] = np.arange(9)
    values[2] = 4
    array = xr.DataArray(values, dims=("seed", "epoch"), coords={"epoch": 2.0 ** np.arange(9)})
    expected = scipy.stats.spearmanr(np.arange(9), values[0]).statistic
    np.testing.assert_allclose(measures.monotonicity(array), [expected, 1, NAN])
    assert measures.monotonicity(-array)[1] == -1


def test_measures_keep_every_swept_dimension():
    ds = results({"seed": range(2), "learning_rate": [1e-3, 1e-2], "width": [16.0, 64.0]})
    ds["x"].attrs.update(train_low=0.0, train_high=0.5)
    swept = ("seed", "learning_rate", "width")
    for curve in (measures.error_where(ds, measures.beyond_range(ds)), measures.radius(ds, 0.1, 0.5)):
        assert curve.dims == (*swept, "epoch")
        assert curve.attrs["long_name"]
    for single in (measures.spurious_extrema(ds, 0, 1), measures.jitter(ds), measures.stuck_at(ds, (0.5,))):
        assert single.dims == swept


def test_an_exponent_is_the_slope_of_a_line_through_logarithms():
    rng = np.random.default_rng(3)
    width = np.array([16.0, 40.0, 64.0, 300.0])
    epochs = xr.DataArray(7 * width ** rng.normal(1, 0.3, (5, 1)), {"width": width}, ("seed", "width"))
    epochs = epochs * rng.uniform(0.8, 1.2, epochs.shape)
    wanted = [np.polyfit(np.log(width), np.log(row), 1)[0] for row in epochs.values]
    np.testing.assert_allclose(measures.exponent(epochs, "width"), wanted, rtol=1e-12)
    epochs[1, 2], epochs[3, 0] = np.inf, np.nan
    assert np.isnan(measures.exponent(epochs, "width")).values.tolist() == [False, True, False, True, False]
