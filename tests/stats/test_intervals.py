"""Intervals over seeds: against published values and scipy, in edge cases, and their measured coverage.

Coverage is measured on 2000 samples of 16 or of 64 seeds from a distribution whose share, median, mean or variation is
known: the share of 95% intervals that hold it. This share has a standard error of half a per cent, the samples come
from fixed seeds, and 93 to 97% is required. The bootstraps of all samples of a case use the same resampled places, and
fewer resamples than the package does, which saves a minute.
"""

from math import inf, isnan, nan

import numpy as np
import pytest
from scipy import stats

from sweep.stats import intervals
from sweep.stats.intervals import Interval, bca_bounds, mean, median, share, variation

DRAWS = 2000
SEEDS = pytest.mark.parametrize("seeds", [16, 64])
# A bootstrap of thousands of samples takes seconds. With few seeds its corrections matter most.
BOOTSTRAPPED = pytest.mark.parametrize("seeds", [16, pytest.param(64, marks=pytest.mark.slow)])
ALL = (share, median, mean, variation)


def covered(low, high, truth):
    return float(np.mean((low <= truth) & (truth <= high)))


def bounds(found):
    found = list(found)
    return np.array([each.low for each in found]), np.array([each.high for each in found])


# Against published values and scipy.


@pytest.mark.parametrize(
    ("successes", "seeds", "low", "high"),
    [  # Newcombe, Two-sided confidence intervals for the single proportion, Stat. Med. 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_share_has_wilsons_interval(successes, seeds, low, high):
    found = share([1] * successes + [0] * (seeds - successes))
    assert found.value == pytest.approx(successes / seeds)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@SEEDS
@pytest.mark.parametrize("all_of_them", [0, 1])
def test_a_share_of_all_or_none_still_has_a_width(seeds, all_of_them):
    """Closed form: the far end is n / (n + z²), or one minus that."""
    found = share(np.full(seeds, bool(all_of_them)))
    far = seeds / (seeds + stats.norm.ppf(0.975) ** 2)
    assert (found.low, found.high) == pytest.approx((far, 1) if all_of_them else (0, 1 - far))
    assert found.value == all_of_them


@pytest.mark.parametrize("seeds", [6, 7, 12, 16, 23, 64, 65])
def test_a_medians_ends_lie_between_the_order_statistics_on_both_sides_of_95_percent(seeds):
    """The plain interval that scipy knows covers at least 95%; the one a step further in does not."""
    values = np.sort(np.random.default_rng(seeds).normal(size=seeds))
    plain = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    depth = int(np.searchsorted(values, plain.low)) + 1
    assert stats.binom.cdf(depth - 1, seeds, 0.5) <= 0.025 < stats.binom.cdf(depth, seeds, 0.5)
    found = median(values)
    assert values[depth - 1] == plain.low <= found.low < values[depth]
    assert values[-depth - 1] < found.high <= plain.high == values[-depth]
    assert found.value == pytest.approx(np.median(values))


def test_interpolation_is_that_of_hettmansperger_and_sheather():
    """By hand, from sums of binomial coefficients: of 16 seeds depth 4 covers 1 - 2 (697 / 65536), depth 5
    1 - 2 (2517 / 65536), so that I = 0.5173 and w = 12 I / (4 + 8 I) = 0.7627."""
    found = median(np.arange(1, 17))
    assert found.low == pytest.approx(4.7627, abs=1e-4)
    assert found.high == pytest.approx(17 - 4.7627, abs=1e-4)


def test_a_mean_has_the_interval_that_scipy_gives_at_hesterbergs_level():
    """For n = 16 t is 2.131 and so z 2.201, a tail of 0.0139 in place of 0.025."""
    values = np.random.default_rng(0).gamma(4, size=16)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="BCa",
        n_resamples=20000,
        confidence_level=1 - 2 * 0.0139,
        rng=np.random.default_rng(5),
    ).confidence_interval
    found, width = mean(values), theirs.high - theirs.low
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.04 * width)
    assert found.value == values.mean()


def test_a_variation_is_standard_deviation_over_mean_and_has_no_unit():
    values = np.random.default_rng(1).gamma(4, size=16)
    found, scaled = variation(values), variation(1000 * values)
    assert found.value == pytest.approx(stats.variation(values, ddof=1))
    assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high))
    assert found.low < found.value < found.high
    mirrored = variation(-values)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), rel=0.05)


@pytest.mark.parametrize("statistic", ALL)
def test_the_same_values_have_the_same_interval_each_time_whatever_their_order(statistic):
    values = np.random.default_rng(2).gamma(4, size=16)
    values = values > 4 if statistic is share else values
    assert statistic(values) == statistic(values)
    for name in ("value", "low", "high"):
        again = getattr(statistic(values[::-1]), name)
        assert again == pytest.approx(getattr(statistic(values), name), rel=0.1)


# Edge cases. Warnings are errors here, as in all tests.


@pytest.mark.parametrize("statistic", ALL)
@pytest.mark.parametrize("values", [[], [nan], [nan, nan]])
def test_without_a_known_seed_the_interval_is_unbounded(statistic, values):
    found = statistic(values)
    assert isnan(found.value)
    assert (found.low, found.high, found.seeds, found.unknown) == (-inf, inf, 0, len(values))


@pytest.mark.parametrize("statistic", ALL)
def test_unknown_seeds_are_left_out_and_counted(statistic):
    known = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    with_gaps, without = statistic([nan, *known, nan]), statistic(known)
    assert with_gaps == Interval(without.value, without.low, without.high, 7, 2)
    assert without.unknown == 0


@pytest.mark.parametrize("statistic", [median, mean, variation])
def test_the_interval_of_too_few_seeds_is_unbounded(statistic):
    """With five, the lowest and highest hold the median between them in 93.75%; a bootstrap stays between them."""
    few = statistic([1.0, 2.0, 4.0, 5.0, 9.0])
    assert (few.low, few.high) == (-inf, inf)
    assert np.isfinite([few.value, *bounds([statistic([1.0, 2.0, 4.0, 5.0, 9.0, 11.0])])[0]]).all()


@pytest.mark.parametrize("only", [1.0, inf])
@pytest.mark.parametrize("statistic", [median, mean, variation])
def test_the_interval_of_one_seed_is_unbounded(statistic, only):
    found = statistic([only])
    assert (found.low, found.high, found.seeds) == (-inf, inf, 1)
    assert isnan(found.value) if statistic is variation else found.value == only


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e30, 1e-30])
@pytest.mark.parametrize("seeds", [2, 6, 16])
def test_constant_values_are_their_own_interval(value, seeds):
    values = np.full(seeds, value)
    assert mean(values) == Interval(value, value, value, seeds)
    assert variation(values) == Interval(0, 0, 0, seeds)
    if seeds >= intervals.FEWEST:
        assert median(values) == Interval(value, value, value, seeds)


def test_rounding_is_no_variation():
    values = [0.3] * 15 + [0.1 + 0.2]
    assert mean(values) == Interval(0.3, 0.3, 0.3, 16)
    assert variation(values) == Interval(0, 0, 0, 16)


@pytest.mark.parametrize("statistic", [mean, variation])
def test_one_other_value_among_constant_ones_gives_numbers(statistic):
    for other in (1, 100, -5, 1e-9, 1e-200):
        found = statistic([0.0] * 15 + [other])
        assert not any(map(isnan, (found.value, found.low, found.high)))
        assert found.low <= found.value <= found.high


@pytest.mark.parametrize(
    ("never", "value", "low", "high"),
    [
        (0, 8.5, 4.76, 12.24),
        (3, 8.5, 4.76, 12.24),
        (4, 8.5, 4.76, inf),
        (7, 8.5, 4.76, inf),
        (8, inf, 4.76, inf),
        (11, inf, 4.76, inf),
        (12, inf, 4, inf),
        (13, inf, inf, inf),
        (16, inf, inf, inf),
    ],
)
def test_in_a_median_never_counts_as_later_than_any_epoch(never, value, low, high):
    """With 16 seeds the ends lie between the 4th and 5th, and between the 12th and 13th unless one is infinite."""
    epochs = np.arange(1.0, 17)
    epochs[16 - never :] = inf
    found = median(np.random.default_rng(never).permutation(epochs))
    assert (found.value, round(found.low, 2), round(found.high, 2)) == (value, low, high)


def test_a_mean_over_infinite_values_has_no_upper_end_and_the_lower_end_of_censored_values():
    epochs = [10.0, 12, 11, 15, 14, 13, 12, 11]
    found, censored = mean([*epochs, inf, inf]), mean([*epochs, 15, 15])
    assert found == Interval(inf, censored.low, inf, 10)
    assert mean([5.0] * 9 + [inf]) == Interval(inf, 5, inf, 10)
    assert mean([inf] * 6) == Interval(inf, inf, inf, 6)
    assert mean([5.0, inf]) == mean([1.0, inf]) == Interval(inf, -inf, inf, 2)


def test_a_variation_over_infinite_values_is_unbounded_above():
    assert variation([1.0, 2, 3, 4, 5, 6, inf]) == Interval(inf, 0, inf, 7)


def test_a_variation_around_zero_is_unbounded():
    found = variation([-1.0, 2] * 8)
    assert (found.low, found.high) == (-inf, inf)
    assert variation([1.0, -1] * 8).value == inf


@pytest.mark.parametrize("statistic", [mean, variation])
def test_a_statistic_over_both_infinities_is_undefined(statistic):
    found = statistic([1.0, 2, 3, 4, 5, 6, -inf, inf])
    assert isnan(found.value)
    assert (found.low, found.high) == (-inf, inf)


# Coverage.


@SEEDS
def test_a_shares_coverage_is_95_percent_over_all_shares(seeds):
    """For a fixed p it oscillates with p, as there are only n + 1 intervals; so each draw has another p."""
    rng = np.random.default_rng(seeds)
    p = rng.uniform(size=DRAWS)
    low, high = bounds(share(np.arange(seeds) < count) for count in range(seeds + 1))
    counts = rng.binomial(seeds, p)
    assert 0.93 <= covered(low[counts], high[counts], p) <= 0.97


@pytest.mark.parametrize(("seeds", "p", "exact"), [(16, 0.5, 0.9232), (16, 0.8, 0.9452), (64, 0.5, 0.9401)])
def test_a_fixed_shares_coverage_is_what_binomial_probabilities_add_up_to(seeds, p, exact):
    """At 16 seeds and p = 0.5 it is 92.3%, less than is required elsewhere: Wilson's interval has 95% on average."""
    counts = np.arange(seeds + 1)
    found = [share(np.arange(seeds) < count) for count in counts]
    low, high = bounds(found)
    assert np.sum(stats.binom.pmf(counts, seeds, p) * ((low <= p) & (p <= high))) == pytest.approx(exact, abs=1e-4)


def normal(rng, shape):
    return rng.normal(10, 2, shape)


def lognormal(rng, shape):
    return rng.lognormal(0, 1, shape)


def third_never(rng, shape):
    """A third of the seeds is infinite; the others are uniform, so that the median is 0.75."""
    return np.where(rng.uniform(size=shape) < 1 / 3, inf, rng.uniform(size=shape))


@SEEDS
@pytest.mark.parametrize(("draw", "truth"), [(normal, 10), (lognormal, 1), (third_never, 0.75)])
def test_a_medians_coverage_is_95_percent(seeds, draw, truth):
    samples = draw(np.random.default_rng(seeds), (DRAWS, seeds))
    assert 0.93 <= covered(*bounds(map(median, samples)), truth) <= 0.97


def gamma(rng, shape):
    """Skewness 1, variation 0.5."""
    return rng.gamma(4, 1, shape)


@pytest.fixture
def resampled(monkeypatch, seeds):
    """Take fewer resamples, but not too few for 16 seeds: the level of a variation lies far out in their tails."""
    monkeypatch.setattr(intervals, "RESAMPLES", {16: 4999, 64: 1999}[seeds])


@BOOTSTRAPPED
@pytest.mark.parametrize(("draw", "truth"), [pytest.param(normal, 10, marks=pytest.mark.slow), (gamma, 4)])
@pytest.mark.usefixtures("resampled")
def test_a_means_coverage_is_95_percent(seeds, draw, truth):
    samples = draw(np.random.default_rng(seeds), (DRAWS, seeds))
    low, high = bca_bounds(samples, intervals._mean)
    np.testing.assert_allclose(bounds(map(mean, samples[:3])), (low[:3], high[:3]), rtol=1e-12)
    assert 0.93 <= covered(low, high, truth) <= 0.97


@BOOTSTRAPPED
@pytest.mark.parametrize(("draw", "truth"), [pytest.param(normal, 0.2, marks=pytest.mark.slow), (gamma, 0.5)])
@pytest.mark.usefixtures("resampled")
def test_a_variations_coverage_is_95_percent(seeds, draw, truth):
    samples = draw(np.random.default_rng(seeds), (DRAWS, seeds))
    low, high = bca_bounds(samples, intervals._variation, 1 + intervals._VARIATION_WIDENING / seeds)
    np.testing.assert_allclose(bounds(map(variation, samples[:3])), (low[:3], high[:3]), rtol=1e-12)
    assert 0.93 <= covered(low, high, truth) <= 0.97


def test_the_stated_coverage_of_a_mean_is_the_measured_one():
    """For skewed values: the share that is printed beside such an interval, within the error of 1000 samples."""
    seeds, draws = 8, 1000
    samples = np.random.default_rng(5).lognormal(0, 1, (draws, seeds))
    low, high = intervals.bca_bounds(samples, lambda values, axis=-1: values.mean(axis))
    held = float(np.mean((low <= np.exp(0.5)) & (np.exp(0.5) <= high)))
    stated = intervals.skewed_coverage(seeds)
    assert stated is not None
    assert held == pytest.approx(stated, abs=3 * (stated * (1 - stated) / draws) ** 0.5)
    assert held < intervals.LEVEL - 0.03
    assert intervals.skewed_coverage(9) == stated
    assert intervals.skewed_coverage(512) is None
    assert intervals.skewed_coverage(5) is None  # too few for an interval
