"""How two aligned results differ, cell by cell, and whether the differences could come from the seeds alone.

Where seeds are shared, differences are taken seed by seed, otherwise between two samples. A lost lane is +inf (-inf
where higher is better): two lost lanes are equal, and a lost lane is infinitely far from one that was not lost.

There is one test. Its statistic is the largest standardised difference of all cells; its null distribution comes from
exchanging first and second at random, seed by seed (paired) or lane by lane (two samples). All cells of a seed are
exchanged together, so the test is exact however cells are correlated and values distributed. The p value of a cell is
the share of exchanges in which the largest difference of all cells is at least this cell's observed one, so the
chance of one or more false positives among all cells is at most 5% (the family-wise error). False discovery rates
would need p values far below those that few seeds can give: with 8 pairs of seeds none is below 1/128. For two
samples that lack data in different cells the level holds only approximately.
"""

from functools import cache
from itertools import combinations, product
from math import comb
from typing import Final

import numpy as np
import scipy  # which imports `scipy.stats` on first use
import xarray as xr

from sweep import stats
from sweep.base.labels import Better
from sweep.stats import intervals
from sweep.stats.intervals import FEWEST, LEVEL, Interval

ALPHA: Final = 0.05
CONTROL: Final = "family-wise error 5%, max-statistic permutation"
RESAMPLES: Final = 9999  # drawn where there are more exchanges than these
PAIRED, TWO_SAMPLES, TOO_FEW = "paired", "two samples", "too few seeds"
_CELLS: Final = 256  # cells tested at a time, so that many cells need little memory
_ROUNDING: Final = 1e-9  # relative, between sums that differ only in the order of their terms


def is_ratio(better: Better, *values: xr.DataArray) -> bool:
    """Say whether a metric is compared by ratios: if it is never negative and higher is not better."""
    return better != "higher" and not any(bool((each < 0).any()) for each in values)


def differences(first: xr.DataArray, second: xr.DataArray, *, ratio: bool) -> xr.Dataset:
    """Compare two results in every cell.

    Args:
        first: the reference, over `seed`, with `data_seed` along it, and the cells' dimensions. Lost lanes are
            infinite, NaN is no data.
        second: what is compared with it, over the same cells.
        ratio: compare natural logarithms. A value of 0 counts as the smallest normal number of single precision.

    Returns:
        Over the cells: `first` and `second`, medians over seeds; `difference` (of logarithms for a ratio), the median
        over pairs of equal seeds, or over all pairs between two samples; `low` and `high`, its 95% interval by order
        statistics, for this cell alone; `seeds`, the number of the side that has fewer; `p`, adjusted for all cells,
        NaN where there are fewer than 6 seeds or they are not independent; `lost_first` and `lost_second`, numbers of
        lost lanes. Attributes: `design`, one of "paired", "two samples" and "too few seeds"; `paired`, whether seeds
        are shared; `p` of all cells together; `exchanges` and `tested`, the numbers of exchanges and tested cells.

    Sources:
        P. H. Westfall and S. S. Young, Resampling-based multiple testing, Wiley (1993), for the single-step adjusted p;
        T. E. Nichols and A. P. Holmes, Nonparametric permutation tests for functional neuroimaging, Human Brain Mapping
        15 (2002) 1-25.
    """
    dims = [dim for dim in first.dims if dim != "seed"]
    before, after = (_as_matrix(each.transpose("seed", *dims), ratio) for each in (first, second))
    pairs = shared_seeds(first, second)
    if pairs.size:
        before, after = before[pairs[:, 0]], after[pairs[:, 1]]
        gaps = subtract(after, before)
        count = np.sum(~np.isnan(gaps), axis=0)
        shifts = [intervals.median(each) for each in gaps.T]
        scores, exchanges = paired_scores(gaps), sign_flips
        known = np.full(gaps.shape, True)  # the sum of scores with random signs has variance 1 whatever is missing
        independent = are_seeds_independent(first.isel(seed=pairs[:, 0]))
    else:
        count = np.minimum(*(np.sum(~np.isnan(each), axis=0) for each in (before, after)))
        shifts = [shift(*each) for each in zip(before.T, after.T, strict=True)]
        pooled = np.concatenate([before, after])
        scores, exchanges = pooled_scores(pooled), relabellings
        known = ~np.isnan(pooled)
        independent = are_seeds_independent(first) and are_seeds_independent(second)
    enough = (count >= FEWEST) & independent
    largest, observed = np.zeros(1), np.zeros(0)
    if enough.any():
        largest, observed = maxima(scores[:, enough], exchanges(len(before), len(after)), known[:, enough])
    p = np.full(len(count), np.nan)
    p[enough] = shares_at_least(largest, observed)
    columns = {name: [getattr(each, name) for each in shifts] for name in ("value", "low", "high")}
    cells = first.isel(seed=0, drop=True)
    found = {
        name: cells.copy(data=np.reshape(v, cells.shape)) for name, v in {**columns, "seeds": count, "p": p}.items()
    }
    sides = {"first": first, "second": second}
    medians = {name: stats.median(each) for name, each in sides.items()}
    lost = {f"lost_{name}": (abs(each) == np.inf).sum("seed") for name, each in sides.items()}
    ds = xr.Dataset({**medians, **found, **lost})
    design = (PAIRED if pairs.size else TWO_SAMPLES) if enough.any() else TOO_FEW
    overall = float(np.min(p[enough], initial=1.0)) if enough.any() else np.nan
    tested = int(enough.sum())
    attributes = {
        "design": design,
        "paired": bool(pairs.size),
        "p": overall,
        "exchanges": len(largest),
        "tested": tested,
    }
    return ds.rename(value="difference").assign_attrs(attributes)


def subtract(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Subtract; the difference of two equal infinities is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(after == before, 0.0, after - before)


def shift(before: np.ndarray, after: np.ndarray) -> Interval:
    """Give the shift from the first to the second of two samples: the median of all differences between them.

    The interval lies between order statistics of the differences, by the normal approximation of the Mann-Whitney
    statistic with a correction for continuity.

    Args:
        before: one sample; an infinite value counts, NaN does not.
        after: the other.

    Returns:
        The shift; its interval is unbounded where a sample has fewer than 6 values.

    Sources:
        J. L. Hodges and E. L. Lehmann, Estimates of location based on rank tests, Annals of Mathematical Statistics 34
        (1963) 598-611.
    """
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    few, many = sorted((before.size, after.size))
    if few == 0:
        return Interval(np.nan, -np.inf, np.inf, 0)
    gaps = np.sort(subtract(after[:, None], before[None, :]), axis=None)
    value = intervals.median(gaps).value
    if few < FEWEST:
        return Interval(value, -np.inf, np.inf, few)
    spread = np.sqrt(gaps.size * (few + many + 1) / 12)
    depth = int(gaps.size / 2 - scipy.stats.norm.ppf((1 + LEVEL) / 2) * spread - 0.5)
    return Interval(value, float(gaps[depth]), float(gaps[-1 - depth]), few)


# The test.


def paired_scores(gaps: np.ndarray) -> np.ndarray:
    """Give the scores of pairs, which are summed with random signs: differences over their length, 0 for missing ones.

    An infinite difference counts as the largest finite one of its cell, or as 1 if all finite ones are 0. This size
    does not depend on the signs, so the test stays exact.

    Args:
        gaps: differences, pairs by cells.
    """
    largest = np.max(np.abs(gaps), axis=0, where=np.isfinite(gaps), initial=0)
    largest = np.where(largest > 0, largest, 1.0)
    return _normalise(np.clip(np.nan_to_num(gaps, posinf=np.inf, neginf=-np.inf), -largest, largest))


def pooled_scores(values: np.ndarray) -> np.ndarray:
    """Give the scores of lanes, which are summed with random labels: values minus their cell's mean, over their length.

    A lost lane counts as the extreme finite value plus or minus the range of these (1 if that is 0). A missing value
    counts as the mean.

    Args:
        values: lanes of both samples by cells.
    """
    finite = np.isfinite(values)
    low = np.min(values, axis=0, where=finite, initial=np.inf)
    high = np.max(values, axis=0, where=finite, initial=-np.inf)
    low, high = np.where(finite.any(axis=0), (low, high), 0.0)
    span = np.where(high > low, high - low, 1.0)
    values = np.clip(values, low - span, high + span) - low  # minus low, so that equal values have score 0 exactly
    known = ~np.isnan(values)
    mean = np.sum(values, axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return _normalise(np.where(known, values - mean, 0.0))


def _normalise(scores: np.ndarray) -> np.ndarray:
    scale = np.max(np.abs(scores), axis=0)
    scores = np.divide(scores, scale, out=np.zeros_like(scores), where=scale > 0)  # so that squares do not underflow
    length = np.sqrt(np.sum(scores**2, axis=0))
    return np.divide(scores, length, out=scores, where=length > 0)


@cache
def sign_flips(pairs: int, _: int) -> np.ndarray:
    """Give exchanges of the two sides of pairs: a sign for each pair; the first row leaves all as observed.

    All of them if they are at most 10,000 (the first pair keeps its sign, since flipping all signs changes no size),
    otherwise 9999 random ones, the same each time.
    """
    if 2 ** (pairs - 1) <= RESAMPLES + 1:
        return np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=pairs - 1)])
    drawn = np.random.default_rng(0).choice((1.0, -1.0), (RESAMPLES, pairs))
    return np.concatenate([np.ones((1, pairs)), drawn])


@cache
def relabellings(first: int, second: int) -> np.ndarray:
    """Give assignments of lanes to two samples of these sizes; the first row leaves all as observed.

    Rows sum to 0 and have the length at which a sum with unit scores has variance 1 over all assignments. All of them
    if they are at most 10,000, otherwise 9999 random ones, the same each time.
    """
    lanes = first + second
    if comb(lanes, second) <= RESAMPLES + 1:
        chosen = np.array(list(combinations(range(lanes), second)))[::-1]  # the last combination is the observed one
        labels = np.zeros((len(chosen), lanes))
        np.put_along_axis(labels, chosen, 1.0, axis=1)
    else:
        labels = np.tile(np.arange(lanes) >= first, (RESAMPLES + 1, 1)).astype(float)
        labels[1:] = np.random.default_rng(0).permuted(labels[1:], axis=1)
    labels -= second / lanes
    return labels * np.sqrt((lanes - 1) / np.sum(labels[0] ** 2))


def maxima(scores: np.ndarray, exchanges: np.ndarray, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Give the largest standardised difference of all cells for every exchange, and the observed one of each cell.

    Args:
        scores: lanes or pairs by cells; each column has length 1, or is all 0.
        exchanges: exchanges by lanes or pairs; the first row leaves all as observed.
        known: lanes of two samples that have data, shaped as `scores`; by default all.
    """
    largest, observed = np.zeros(len(exchanges)), []
    for start in range(0, scores.shape[1], _CELLS):
        cells = slice(start, start + _CELLS)
        sizes = np.abs(exchanges @ scores[:, cells])
        if known is not None and not known[:, cells].all():
            sizes *= _level_factors(exchanges, known[:, cells])
        np.maximum(largest, sizes.max(axis=1), out=largest)
        observed.append(sizes[0])
    return largest, np.concatenate(observed)


def _level_factors(exchanges: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give the factors that scale sums over two samples to variance 1 where data are missing.

    With j of all k known lanes in the second sample a sum of unit scores has the variance j (k - j) / (k (k - 1)),
    and not m (n - m) / (n (n - 1)) as with all n lanes known and m in the second. Without the factors a cell whose
    missing data are distributed differently over the samples would seem to vary less than it does.
    """
    second = exchanges > 0
    lanes, size = known.shape[0], second[0].sum()
    total, in_second = known.sum(axis=0), second.astype(float) @ known
    split = in_second * (total - in_second)
    complete = total * (total - 1) * size * (lanes - size) / (lanes * (lanes - 1))
    return np.sqrt(np.divide(complete, split, out=np.zeros_like(split), where=split > 0))


def shares_at_least(largest: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Give p values: the share of exchanges, the observed one included, whose largest difference is at least that."""
    return 1 - np.searchsorted(np.sort(largest), observed * (1 - _ROUNDING)) / len(largest)


def _as_matrix(values: xr.DataArray, ratio: bool) -> np.ndarray:
    """Give values, or their logarithms for a ratio, as a matrix of seeds by cells in double precision."""
    matrix = values.values.astype(float).reshape(values.sizes["seed"], -1)
    if not ratio:
        return matrix
    return np.log(np.maximum(matrix, np.finfo(np.float32).tiny))


def shared_seeds(first: xr.DataArray | xr.Dataset, second: xr.DataArray | xr.Dataset) -> np.ndarray:
    """Give the seeds that both have (equal `seed` and `data_seed`) as pairs of indices, one into each."""
    one, other = (list(zip(each["seed"].values, each["data_seed"].values, strict=True)) for each in (first, second))
    return np.array([(index, other.index(key)) for index, key in enumerate(one) if key in other], int).reshape(-1, 2)


def are_seeds_independent(results: xr.DataArray | xr.Dataset) -> bool:
    """Tell whether the lanes of a cell, one for each seed, are independent samples.

    All of them may have the same `seed`, or the same `data_seed`. If only some share one, as in a grid of both, there
    are fewer independent samples than lanes, and exchanging lanes one by one would give false positives.
    """
    return all(len(np.unique(results[name])) in (1, results.sizes["seed"]) for name in ("seed", "data_seed"))
