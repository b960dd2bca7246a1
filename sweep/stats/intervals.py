"""95% intervals over seeds: of a share, a median, a mean, an interquartile mean or a variation.

All take one number, or truth value, for each seed. A seed whose value is unknown (NaN) is left out and counted; one
that never reaches a threshold is +inf. Where there are too few seeds, the interval is unbounded: -inf to +inf.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import scipy  # which imports `scipy.stats` on first use: that takes half a second, and few need it

LEVEL: Final = 0.95
FEWEST: Final = 6  # seeds: with five, lowest and highest hold the median between them in only 94% of samples
RESAMPLES: Final = (
    9999  # of a bootstrap; other random numbers would move the ends by about 1% of the width, 4% for a variation
)
_BATCH: Final = 100  # resamples drawn at a time, so that many samples need little memory
_UNBOUNDED: Final = (-np.inf, np.inf)
_ROUNDING: Final = 1e-12  # relative
# By number of seeds: the measured share of samples of lognormal(1) values whose interval held the mean.
SKEWED_COVERAGE: Final = {6: 0.853, 8: 0.869, 16: 0.895, 32: 0.922, 128: 0.93}
_NEARLY_95: Final = 0.93
_VARIATION_WIDENING: Final = 3.0  # divided by the number of seeds, see `variation`


@dataclass(frozen=True)
class Interval:
    """A statistic over seeds with its 95% interval.

    Args:
        value: the statistic, NaN where no seed has a value.
        low: lower end, -inf where it is unbounded.
        high: upper end, +inf where it is unbounded.
        seeds: how many seeds were used.
        unknown: how many were left out, because their value is NaN.
    """

    value: float
    low: float
    high: float
    seeds: int
    unknown: int = 0


def share(values: Any) -> Interval:
    """Give the share of seeds for which something is true, with Wilson's interval.

    (p + z²/2n ± z sqrt(p (1 - p)/n + z²/4n²)) / (1 + z²/n), z = 1.96. It never leaves [0, 1], and has a
    width even where all seeds agree: 16 of 16 is [0.81, 1].

    Args:
        values: one for each seed: 1 or True, 0 or False, NaN.

    Sources:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.
    """
    known, unknown = _known_values(values)
    if not known.size:
        return Interval(np.nan, *_UNBOUNDED, 0, unknown)
    found = scipy.stats.binomtest(int(known.sum()), known.size).proportion_ci(LEVEL, method="wilson")
    return Interval(float(known.mean()), float(found.low), float(found.high), known.size, unknown)


def median(values: Any) -> Interval:
    """Give the median, with the interval between order statistics, interpolated to the level.

    With d the greatest depth at which [x_(d), x_(n+1-d)] covers the median in at least 95% of samples, the lower end
    is (1 - w) x_(d) + w x_(d+1), the upper end the same from above, w = (n - d) I / (d + (n - 2d) I), where
    I = (γ_d - 0.95) / (γ_d - γ_(d+1)) and γ_d = 1 - 2 P(Binomial(n, 1/2) < d) is the coverage at depth d. Without
    interpolation the coverage at 16 seeds would be 98% and not 95%. Where one of the two order statistics is infinite,
    the end is x_(d), the outer one.

    Args:
        values: one for each seed; an infinite one is treated like any other.

    Sources:
        T. P. Hettmansperger and S. J. Sheather, Confidence intervals based on interpolated order statistics,
        Statistics & Probability Letters 4 (1986) 75-79; J. Nyblom, Note on interpolated order statistics, Statistics
        & Probability Letters 14 (1992) 129-131.
    """
    known, unknown = _known_values(values)
    ordered, seeds = np.sort(known), known.size
    low, high = _UNBOUNDED
    if seeds >= FEWEST:
        depth, weight = _order_statistics(seeds)
        low = _interpolate(ordered[depth - 1], ordered[depth], weight)
        high = _interpolate(ordered[-depth], ordered[-depth - 1], weight)
    value = _interpolate(ordered[seeds // 2], ordered[(seeds - 1) // 2], 0.5) if seeds else np.nan
    return Interval(float(value), float(low), float(high), seeds, unknown)


@cache
def _order_statistics(seeds: int) -> tuple[int, float]:
    """Give the depth of the outer order statistics, and the weight of the inner ones."""
    depths = np.arange(1, seeds // 2 + 2)
    coverage = 1 - 2 * scipy.stats.binom.cdf(depths - 1, seeds, 0.5)
    depth = int(np.count_nonzero(coverage >= LEVEL))
    outer, inner = coverage[depth - 1 : depth + 1]
    part = (outer - LEVEL) / (outer - inner)
    return depth, float((seeds - depth) * part / (depth + (seeds - 2 * depth) * part))


def _interpolate(outer: float, inner: float, weight: float) -> float:
    """Interpolate; if one of the two is infinite, give the outer one."""
    return outer + weight * (inner - outer) if np.isfinite(outer) and np.isfinite(inner) else outer


def mean(values: Any) -> Interval:
    """Give the mean, with a BCa bootstrap interval at the level that small samples need, see `bca_bounds`.

    With +inf among the values the mean is +inf and the interval has no upper end; its lower end is computed with the
    largest finite value in place of +inf, since these values are no less than that. If two or more values are all the
    same, both ends are that value. With -inf among the values (lost lanes where higher values are better) the same
    holds with the sign reversed; with both infinities the mean is undefined.

    No interval of a mean holds in 95% of samples for every distribution: a skewed mean depends on few large values,
    which are mostly missing from a small sample. Measured share of 2000 samples or more whose interval holds the true
    mean (in most other samples the true mean lies above the interval):

    | values | 8 seeds | 16 seeds |
    |---|---|---|
    | normal | 0.946 | 0.953 |
    | uniform | 0.966 | 0.958 |
    | exponential | 0.909 | 0.926 |
    | lognormal(0.5) | 0.922 | 0.935 |
    | lognormal(1) | 0.869 | 0.895 |
    | lognormal(1.5) | 0.790 | 0.826 |

    For lognormal(1) values it is 0.853 at 6 seeds, 0.922 at 32 and, with a tenth of the resamples, 0.929 at 128 and
    0.932 at 256. Bootstrap-t intervals hold in 1 to 3% more samples at 8 seeds and are 10 to 30% wider. Where such an
    interval is shown, so is `skewed_coverage`; intervals of a median or an interquartile mean hold in 95%.

    Args:
        values: one for each seed.
    """
    known, unknown = _known_values(values)
    if not known.size or {-np.inf, np.inf} <= {*known}:
        return Interval(np.nan, *_UNBOUNDED, known.size, unknown)
    if np.isneginf(known).any():
        mirrored = mean(-known)
        return Interval(-mirrored.value, -mirrored.high, -mirrored.low, known.size, unknown)
    if _are_equal(known):
        same = float(known[0])
        return Interval(same, same, same, known.size, unknown)
    if not np.isfinite(known).all():
        return Interval(np.inf, _mean_at_least(known), np.inf, known.size, unknown)
    low, high = bca_bounds(known, _mean)
    return Interval(float(known.mean()), float(low), float(high), known.size, unknown)


def skewed_coverage(seeds: int) -> float | None:
    """Give the share of samples whose interval of a mean held for skewed values; None where it is nearly 95% or more.

    Measured as in `mean`, for lognormal(1) values, at the next smaller measured number of seeds.

    Args:
        seeds: how many seeds were used.
    """
    measured = [share for count, share in SKEWED_COVERAGE.items() if count <= seeds]
    return None if seeds < min(SKEWED_COVERAGE) or measured[-1] >= _NEARLY_95 else measured[-1]


def _mean_at_least(values: np.ndarray) -> float:
    """Give the lower end for values some of which are +inf, with the largest finite value in place of these."""
    largest = values[np.isfinite(values)].max(initial=-np.inf)
    censored = np.minimum(values, largest)
    if values.size >= FEWEST and _are_equal(censored):
        return float(largest)
    return float(bca_bounds(censored, _mean)[0])


def interquartile_mean(values: Any) -> Interval:
    """Give the interquartile mean, see `middle_mean`, with Yuen's t interval for a trimmed mean, made a little wider.

    m ± t_{0.975, h - 1} s sqrt((n - 1) / (h (h - 1))) sqrt(n / (n - 2)): of n values h = n - 2g are left when the
    g = floor(n / 4) lowest and the g highest are cut off; s is the standard deviation (of n - 1) of all n, after those
    cut off were moved to the nearest one left. The last factor is empirical: without it the interval holds in 93% of
    samples of 8 normal values; with it in 94 to 95% for normal, lognormal(0.5) and uniform values at 8, 16 and 64
    seeds, and in 93 to 95% for exponential and lognormal(1) ones.

    An infinite value is treated like any other. The middle half of the distribution lies between two order statistics,
    those at the depth d for which P(Binomial(n, 1/4) < d) <= 2.5%, or the lowest and the highest of fewer than 13
    seeds. If one of these two is infinite, so is that end: where one of 8 seeds was lost, a quarter of all seeds may
    be. Where the middle half is all the same and the other values are not, s is 0 and these two are the ends. If all
    values are the same, both ends are that value.

    Args:
        values: one for each seed.

    Sources:
        K. K. Yuen, The two-sample trimmed t for unequal population variances, Biometrika 61 (1974) 165-170.
    """
    known, unknown = _known_values(values)
    seeds, value = known.size, float(middle_mean(known))
    if _are_equal(known):
        return Interval(value, value, value, seeds, unknown)
    if seeds < FEWEST or not np.isfinite(known).any():
        return Interval(value, *_UNBOUNDED, seeds, unknown)
    ordered = np.sort(known)
    low, high = ordered[_outer_depth(seeds) - 1], ordered[-_outer_depth(seeds)]
    finite = ordered.clip(
        *ordered[np.isfinite(ordered)][[0, -1]]
    )  # the nearest finite value in place of an infinite one
    half = _half_width(finite)
    if half > 0:
        low = middle_mean(finite) - half if np.isfinite(low) else low
        high = middle_mean(finite) + half if np.isfinite(high) else high
    return Interval(value, float(low), float(high), seeds, unknown)


@cache
def _outer_depth(seeds: int) -> int:
    """Give the depth of the order statistics between which the middle half of the distribution lies."""
    return max(1, int(np.count_nonzero(scipy.stats.binom.cdf(np.arange(seeds), seeds, 0.25) <= (1 - LEVEL) / 2)))


def _half_width(ordered: np.ndarray) -> float:
    """Give half the width of the interval of an interquartile mean; 0 where the middle half is all the same."""
    seeds, cut = ordered.size, ordered.size // 4
    left = seeds - 2 * cut
    spread = ordered.clip(ordered[cut], ordered[-1 - cut]).std(ddof=1)
    factor = np.sqrt((seeds - 1) / (left * (left - 1)) * seeds / (seeds - 2))
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, left - 1) * spread * factor)


def middle_mean(values: np.ndarray) -> np.ndarray:
    """Give the interquartile means along the last axis: the means of the middle half of the values.

    sum_i w_i x_(i) with w_i the part of [i - 1, i] that lies in [n/4, 3n/4], over n/2. For n a multiple of four this is
    the mean trimmed by 25% at both ends; in between, order statistics count in part.

    Args:
        values: NaN is left out; infinite ones count, so that the mean is +inf once more than a quarter are.

    Returns:
        The means, NaN where all values are NaN.

    Sources:
        R. Agarwal et al., Deep reinforcement learning at the edge of the statistical precipice, NeurIPS 2021, who
        recommend it for few seeds; they cut off values as a whole instead of in part.
    """
    ordered = np.sort(values, axis=-1)  # NaN goes last
    count = np.sum(~np.isnan(ordered), axis=-1, keepdims=True)
    after = np.arange(1, ordered.shape[-1] + 1)
    weight = (np.minimum(after, 0.75 * count) - np.maximum(after - 1, 0.25 * count)).clip(0)
    total = np.multiply(ordered, weight, out=np.zeros_like(ordered), where=weight > 0).sum(axis=-1)
    return np.where(count[..., 0] > 0, total / np.maximum(count[..., 0] / 2, 0.5), np.nan)


def variation(values: Any) -> Interval:
    """Give the coefficient of variation, standard deviation (of n - 1) over mean, with a BCa bootstrap interval.

    Few seeds determine a spread less well than a mean: at the level for a mean the interval would hold in only 91 to
    93% of samples at 16 seeds. So z is multiplied by another 1 + 3/n, an empirical factor: with it the interval holds
    in 93 to 96% for normal and gamma distributed values with variations of 0.05 to 0.5 at 16, 32 and 64 seeds, and in
    96 to 98% for uniform ones. At 8 seeds no factor reaches more than 88% for normal values.

    With +inf among the values it is +inf, with the interval from 0 to +inf. Where the mean may be 0 the interval is
    unbounded.

    Args:
        values: one for each seed.
    """
    known, unknown = _known_values(values)
    if np.isneginf(known).any() or known.size < 2:
        return Interval(np.nan, *_UNBOUNDED, known.size, unknown)
    if np.isposinf(known).any():
        return Interval(np.inf, 0.0, np.inf, known.size, unknown)
    if _are_equal(known):
        return Interval(0.0, 0.0, 0.0, known.size, unknown)
    low, high = bca_bounds(known, _variation, 1 + _VARIATION_WIDENING / known.size)
    low, high = _UNBOUNDED if low < 0 < high else (low, high)
    return Interval(float(_variation(known)), float(low), float(high), known.size, unknown)


def bca_bounds(
    values: np.ndarray, statistic: Callable[..., Any], widening: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Give the ends of bias-corrected and accelerated bootstrap intervals along the last axis.

    The level is not 95% but 1 - 2 Φ(-z) with z = sqrt(n / (n - 1)) t_{0.975, n - 1}: the variance of resamples
    is smaller by (n - 1) / n, and a spread estimated from few seeds calls for Student's t. Without this the interval
    holds in only 93% of samples of 16 normal values. The random numbers are the same each time.

    Args:
        values: samples along the last axis, finite; at least 6 values, since fewer cannot give 95%.
        statistic: `statistic(values, axis)`.
        widening: factor for z.

    Returns:
        The lower ends and the upper ends; -inf and +inf where there are too few values or the bootstrap gives none.

    Sources:
        B. Efron, Better bootstrap confidence intervals, JASA 82 (1987) 171-185; T. C. Hesterberg, What teachers should
        know about the bootstrap, The American Statistician 69 (2015) 371-386, for the level.
    """
    seeds = values.shape[-1]
    if seeds < FEWEST:
        return np.full(values.shape[:-1], -np.inf), np.full(values.shape[:-1], np.inf)
    z = widening * np.sqrt(seeds / (seeds - 1)) * scipy.stats.t.ppf((1 + LEVEL) / 2, seeds - 1)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)  # the ends are NaN then, see below
        found = scipy.stats.bootstrap(
            (values,), statistic, axis=-1, method="BCa", confidence_level=float(1 - 2 * scipy.stats.norm.sf(z)),
            n_resamples=RESAMPLES, batch=_BATCH, rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
    valid = found.low <= found.high  # not for NaN
    return np.where(valid, found.low, -np.inf), np.where(valid, found.high, np.inf)


def _mean(values: np.ndarray, axis: int = -1) -> Any:
    return values.mean(axis)


def _variation(values: np.ndarray, axis: int = -1) -> Any:
    """Give standard deviation over mean; 0 where all values are the same, as they may be in a resample."""
    spread, center = values.std(axis, ddof=1), values.mean(axis)
    with np.errstate(divide="ignore"):
        return np.divide(spread, center, out=np.zeros_like(spread), where=spread > 0)


def _known_values(values: Any) -> tuple[np.ndarray, int]:
    """Give the values that are not NaN, and the number of those that are."""
    array = np.asarray(values, float).ravel()
    known = array[~np.isnan(array)]
    return known, array.size - known.size


def _are_equal(values: np.ndarray) -> bool:
    """Tell whether there are several values that differ by no more than rounding, too little for a bootstrap."""
    return values.size > 1 and bool(np.isclose(values, values[0], rtol=_ROUNDING, atol=0).all())
