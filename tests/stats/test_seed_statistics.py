"""Statistics over seeds, cell by cell: against NumPy and SciPy on plain lists, closed forms, and measured coverage.

The coverage of the interquartile mean's interval is measured on 2000 samples of 8 or of 16 seeds, from distributions
whose interquartile mean is known. The share of intervals that hold it has a standard error of half a per cent.
"""

from itertools import product
from math import inf, nan

import numpy as np
import pytest
import synthetic
import xarray as xr
from scipy import stats as theirs

from sweep import measures, seeds, stats
from sweep.base import labels
from sweep.stats import intervals, seed_statistics
from sweep.stats.intervals import interquartile_mean, middle_mean

DRAWS = 2000
SKEWED = theirs.lognorm(0.5)


def over(values, *dims, **coords):
    return xr.DataArray(np.asarray(values, float), dims=dims or ("seed",), coords=coords)


def covered(samples, truth):
    found = [interquartile_mean(sample) for sample in samples]
    return np.mean([each.low <= truth <= each.high for each in found])


def true_interquartile_mean(quantile):
    return np.mean(quantile(0.25 + 0.5 * (np.arange(100_000) + 0.5) / 100_000))


# The interquartile mean.


@pytest.mark.parametrize("count", [4, 8, 16, 64])
def test_for_a_multiple_of_four_it_is_the_mean_trimmed_by_a_quarter(count):
    values = np.random.default_rng(count).lognormal(size=(5, count))
    np.testing.assert_allclose(middle_mean(values), theirs.trim_mean(values, 0.25, axis=1), rtol=1e-14)


def test_order_statistics_at_the_ends_of_the_middle_half_count_in_part():
    """Of five values [1.25, 3.75] is the middle half: 3/4 of the second and fourth, all of the third."""
    assert middle_mean(np.array([9.0, 1.0, 4.0, 2.0, 100.0])) == pytest.approx((0.75 * 2 + 4 + 0.75 * 9) / 2.5)
    assert middle_mean(np.array([7.0])) == 7
    assert middle_mean(np.array([3.0, 5.0])) == 4


@pytest.mark.parametrize("count", [5, 6, 7, 9, 11])
def test_it_is_the_trimmed_mean_of_every_value_four_times(count):
    values = np.random.default_rng(count).normal(size=count)
    assert middle_mean(values) == pytest.approx(theirs.trim_mean(np.repeat(values, 4), 0.25), rel=1e-13)


def test_a_quarter_of_lost_seeds_leaves_a_number_and_more_makes_it_infinite():
    values = np.arange(1.0, 9.0)
    assert middle_mean(np.r_[values[:6], inf, inf]) == middle_mean(values)
    assert middle_mean(np.r_[values[:5], inf, inf, inf]) == inf
    assert middle_mean(np.r_[-inf, -inf, -inf, values[:5]]) == -inf


def test_lanes_of_labelled_results_that_have_not_run_do_not_count():
    ds = synthetic.ended(synthetic.results(), labels.DIVERGED, xr.DataArray([1, 1, 0, 0, 0], dims="seed") > 0)
    ds = synthetic.ended(ds, labels.NOT_RUN, ds["learning_rate"] == 1e-4)
    last = stats.final(ds, "loss")
    found = seeds.interquartile_mean(last)
    assert found.dims == ("learning_rate", "width")
    assert found.attrs["long_name"] == "training loss"
    assert np.isnan(found.sel(learning_rate=1e-4)).all()
    assert (found.sel(learning_rate=[1e-3, 1e-2]) == inf).all()  # two of five are lost
    some = stats.final(synthetic.results(), "loss").where(ds["seed"] < 4)
    expected = theirs.trim_mean(some.values[:4].astype(float), 0.25, axis=0)
    np.testing.assert_allclose(seeds.interquartile_mean(some), expected, rtol=1e-6)


# Its interval.


DISTRIBUTIONS = {"normal": theirs.norm(), "skewed": SKEWED, "flat": theirs.uniform(), "steep": theirs.expon()}
QUICK = (("normal", 16), ("skewed", 8), ("steep", 8))


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case not in QUICK)) for case in product(DISTRIBUTIONS, (8, 16))],
)
def test_the_interval_holds_the_truth_in_95_percent(name, count):
    distribution = DISTRIBUTIONS[name]
    samples = distribution.rvs(size=(DRAWS, count), random_state=np.random.default_rng(count))
    assert 0.93 <= covered(samples, true_interquartile_mean(distribution.ppf)) <= 0.97


@pytest.mark.parametrize(("share", "finite"), [(0.05, True), (0.2, True), (0.4, False)])
def test_the_interval_keeps_its_level_where_seeds_are_lost(share, finite):
    uniform = np.random.default_rng(3).uniform(size=(DRAWS, 8))
    samples = np.where(uniform > 1 - share, inf, theirs.norm.ppf(uniform))
    truth = 0.0 if finite else inf  # the middle half of a normal distribution is around 0
    assert covered(samples, truth) >= 0.93


@pytest.mark.parametrize("count", [8, 64])
def test_the_interval_keeps_its_level_where_most_seeds_are_the_same(count):
    """Of truth values with a share of 0.3, those at 0.7 to 0.75 are the only ones of the middle half that are 1."""
    samples = np.random.default_rng(4).uniform(size=(DRAWS, count)) > 0.7
    assert covered(samples.astype(float), 0.1) >= 0.93


@pytest.mark.parametrize("value", [0.1, 0.0, -3.0, 1e-300, inf])
def test_the_ends_are_the_value_of_seeds_that_are_all_the_same(value):
    found = interquartile_mean(np.full(8, value))
    assert (found.value, found.low, found.high) == (value, value, value)


def test_the_interval_is_yuens_with_another_factor():
    """By hand: the middle of these is 3 to 6, s of 3, 3, 3, 4, 5, 6, 6, 6 is 1.4142, t of 3 is 3.1824."""
    found = interquartile_mean([1, 2, 3, 4, 5, 6, 7, 20])
    half = 3.1824 * np.sqrt(2) * np.sqrt(7 / 12) * np.sqrt(8 / 6)
    assert (found.low, found.value, found.high) == pytest.approx((4.5 - half, 4.5, 4.5 + half), abs=1e-3)


def test_one_lost_seed_of_eight_leaves_the_upper_end_open_and_one_of_twenty_does_not():
    few, many = np.arange(8.0), np.arange(20.0)
    few[-1] = many[-1] = inf
    assert (interquartile_mean(few).high, interquartile_mean(-few).low) == (inf, -inf)
    assert np.isfinite([interquartile_mean(few).low, interquartile_mean(many).high]).all()


def test_too_few_seeds_say_nothing_and_unknown_ones_are_counted():
    found = interquartile_mean([1, 2, 3, nan, 5, 6])
    assert (found.low, found.high, found.seeds, found.unknown) == (-inf, inf, 5, 1)
    assert np.isnan(interquartile_mean([nan]).value)


# Statistics with intervals, cell by cell.


@pytest.mark.parametrize("statistic", [intervals.median, interquartile_mean, intervals.variation])
def test_each_cell_has_the_interval_of_its_seeds(statistic):
    values = np.random.default_rng(6).lognormal(size=(8, 3))
    values[0, 1], values[1, 2] = inf, nan
    array = over(values, "seed", "width", width=[1, 2, 3]).assign_attrs(units="epochs", long_name="epoch of something")
    found = seeds.with_interval(array, statistic)
    for cell in range(3):
        alone = statistic(values[:, cell])
        parts = [found[name].values[cell] for name in ("value", "low", "high", "seeds", "unknown")]
        np.testing.assert_equal(parts, [alone.value, alone.low, alone.high, alone.seeds, alone.unknown])
    assert found["infinite"].values.tolist() == [0, 1, 0]
    assert found["value"].attrs == array.attrs
    assert found["low"].attrs["units"] == "epochs"


def test_quantiles_are_numpys_and_lost_seeds_lie_at_the_far_end():
    values = np.random.default_rng(7).normal(size=(9, 4))
    found = stats.quantiles(over(values, "seed", "width"), (0.1, 0.5, 0.75))
    assert found.coords["quantile"].values.tolist() == [0.1, 0.5, 0.75]
    np.testing.assert_allclose(found, np.quantile(values, [0.1, 0.5, 0.75], axis=0).T, rtol=1e-13)
    lost = np.where(values >= np.sort(values, axis=0)[7], inf, values)  # the two highest
    found = stats.quantiles(over(lost, "seed", "width"), (0.1, 0.5, 0.75, 0.76))
    np.testing.assert_allclose(found[:, :3], np.quantile(values, [0.1, 0.5, 0.75], axis=0).T, rtol=1e-13)
    assert (found[:, 3] == inf).all()


# The share of seeds that have converged.


def test_the_share_converged_grows_with_wilsons_interval():
    """Four of eight converge at 1, 1, 2, 4, one of which diverges later; one is slow, one lost, two have not run."""
    error = np.full((8, 5), 0.9)
    for seed, first in enumerate([1, 1, 2, 4]):
        error[seed, first:] = 0.1
    error[2, 3:] = inf  # it was there, and diverged afterwards
    error[5, 1:] = inf
    error[6:] = nan
    status = over([2, 2, 3, 2, 2, 3, 0, 0])
    found = seeds.share_converged(over(error, "seed", "epoch", epoch=[0.0, 1, 2, 3, 4]), 0.5, status)
    np.testing.assert_allclose(found["value"], np.array([0, 2, 3, 3, 4]) / 6)
    for place, done in enumerate([0, 2, 3, 3, 4]):
        wilson = theirs.binomtest(done, 6).proportion_ci(0.95, method="wilson")
        assert (found["low"][place], found["high"][place]) == pytest.approx((wilson.low, wilson.high))
    assert [int(found[name]) for name in ("seeds", "infinite", "unknown")] == [6, 2, 2]


def test_the_share_converged_of_a_closed_form():
    """A frequency's error is exp(-epoch / tau), at most 0.5 from tau ln 2 on."""
    ds = synthetic.results()
    found = seeds.share_converged(stats.measured(ds, "spectral_error"), 0.5, ds["status"])
    tau = synthetic.time_constant(ds["frequency"], ds)
    expected = (ds["epoch"] >= tau * np.log(2)).mean("seed")
    assert found["value"].dims[-1] == "epoch"
    xr.testing.assert_allclose(found["value"], expected.transpose(*found["value"].dims))
    assert (found["value"] > 0).any()
    assert (found["value"] < 1).any()


def test_where_nothing_has_run_the_share_is_unknown():
    found = seeds.share_converged(over(np.full((4, 2), nan), "seed", "epoch", epoch=[0.0, 1]), 0.5)
    assert np.isnan(found["value"]).all()
    assert (found["low"] == -inf).all()
    assert int(found["unknown"]) == 4


# How times depend on frequency.

FREQUENCY = np.array([1.0, 2, 3, 5, 8, 13])


def law(exponents, scale=3.0):
    times = scale * FREQUENCY ** np.asarray(exponents)[:, None]
    return over(times, "seed", "frequency", frequency=FREQUENCY)


def test_a_power_law_is_found_again_with_the_medians_interval():
    exponents = np.random.default_rng(8).normal(2, 0.2, size=9)
    found, alone = seeds.power_law(law(exponents)), intervals.median(exponents)
    assert float(found["value"]) == pytest.approx(np.median(exponents))
    assert (float(found["low"]), float(found["high"])) == pytest.approx((alone.low, alone.high))
    assert [int(found[name]) for name in ("seeds", "unknown", "left_out")] == [9, 0, 0]


def test_noisy_times_have_the_slope_that_scipy_fits():
    noise = np.random.default_rng(9).lognormal(sigma=0.3, size=(8, 6))
    times = law(np.full(8, 1.5)) * noise
    slopes = [theirs.linregress(np.log(FREQUENCY), np.log(row)).slope for row in times.values]
    assert float(seeds.power_law(times)["value"]) == pytest.approx(np.median(slopes))


def test_a_frequency_never_reached_is_left_out_and_a_seed_with_few_others_is_unknown():
    times = law([2.0] * 8)
    times[0, 4:] = inf  # four of six are two thirds
    times[1, 3:] = inf
    times[2, 0] = 0  # reached before training
    times[3, :] = inf  # a lost lane
    found = seeds.power_law(times)
    assert float(found["value"]) == pytest.approx(2)
    assert [int(found[name]) for name in ("seeds", "unknown", "left_out")] == [6, 2, 3]
    each = measures.exponent(times, "frequency", share=seed_statistics.KNOWN_SHARE)
    np.testing.assert_allclose(each, [2, nan, 2, nan, 2, 2, 2, 2])


@pytest.mark.parametrize("count", range(2, 40))
def test_two_thirds_are_enough_however_many_frequencies_there_are(count):
    frequency = np.arange(1.0, count + 1)
    enough = max(2, -(-2 * count // 3))
    for finite, known in ((enough, 1), (enough - 1, 0)):
        times = over(np.where(frequency <= finite, frequency, inf)[None], "seed", "frequency", frequency=frequency)
        assert int(seeds.power_law(times)["seeds"]) == known
