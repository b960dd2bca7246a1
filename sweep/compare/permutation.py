"""How two aligned results differ, cell by cell, and whether seeds alone would make such a difference.

Where seeds are shared a difference is taken seed by seed, else between two samples. A lost lane is +inf (-inf where
high is good): two that were both lost are equal, and one that was lost is infinitely far from one that was not.

There is one test: of the largest standardised difference of all cells, against what it is where first and second
change places at random, seed by seed (paired) or lane by lane (two samples). All cells of a seed change places
together, so it is exact however cells are correlated and values distributed. A cell's p value says how often the
largest of all cells is at least as large as this cell's own, so that the chance of one false find or more among all
cells is at most 5% (the family-wise error). False discovery rates would need p values far below those that few seeds
can give: of 8 seeds in pairs none is below 1/128. Of two samples that lack data in different cells the level holds
nearly, not exactly.
"""

from functools import cache
from itertools import combinations, product
from math import comb
from typing import Final

import numpy as np
import xarray as xr
from scipy.stats import norm

from sweep import stats
from sweep.base.labels import Better
from sweep.stats import intervals
from sweep.stats.intervals import FEWEST, LEVEL, Interval

ALPHA: Final = 0.05
CONTROL: Final = "family-wise error 5%, max-statistic permutation"
RESAMPLES: Final = 9999  # where there are more exchanges than these
PAIRED, TWO_SAMPLES, TOO_FEW = "paired", "two samples", "too few seeds"
_CELLS: Final = 256  # tested at a time, so that many cells take little memory
_ROUNDING: Final = 1e-9  # relative, of sums that differ but in the order of their terms


def is_ratio(better: Better, *values: xr.DataArray) -> bool:
    """Say whether a metric is compared by ratios: where it is never negative, unless high is good as in an accuracy."""
    return better != "higher" and not any(bool((each < 0).any()) for each in values)


def differences(first: xr.DataArray, second: xr.DataArray, *, ratio: bool) -> xr.Dataset:
    """Compare two results in every cell.

    Args:
        first: what is compared with; over `seed`, with `data_seed` along it, and the cells' dimensions. Lost lanes are
            infinite, NaN is no data.
        second: the same of what is compared, over the same cells.
        ratio: compare natural logarithms. A value of 0 counts as the smallest normal number of single precision.

    Returns:
        Over the cells: `first` and `second`, medians over seeds; `difference`, of logarithms if asked for, as the
        median over pairs of a seed or over all pairs between two samples; `low` and `high`, its 95% interval by order
        statistics, for this cell alone; `seeds`, of the side that has fewer; `p`, adjusted for all cells, NaN where
        there are fewer than 6 seeds, or such as are not `independent`; `lost_first` and `lost_second`, how many lanes
        were lost. Attributes: `design`, one of "paired", "two samples" and "too few seeds"; `paired`, whether seeds are
        shared; `p` of all cells together; `exchanges`, how many that looked at, and `tested`, the number of cells.

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
        gaps = less(after, before)
        count = np.sum(~np.isnan(gaps), axis=0)
        told = [intervals.median(each) for each in gaps.T]
        scores, exchanges = paired_scores(gaps), sign_flips
        known = np.full(gaps.shape, True)  # a sum of signs has variance 1 whatever is missing
        alone = independent(first.isel(seed=pairs[:, 0]))
    else:
        count = np.minimum(*(np.sum(~np.isnan(each), axis=0) for each in (before, after)))
        told = [shift(*each) for each in zip(before.T, after.T, strict=True)]
        pooled = np.concatenate([before, after])
        scores, exchanges = pooled_scores(pooled), relabellings
        known = ~np.isnan(pooled)
        alone = independent(first) and independent(second)
    enough = (count >= FEWEST) & alone
    largest, own = np.zeros(1), np.zeros(0)
    if enough.any():
        largest, own = maxima(scores[:, enough], exchanges(len(before), len(after)), known[:, enough])
    p = np.full(len(count), np.nan)
    p[enough] = shares_at_least(largest, own)
    columns = {name: [getattr(each, name) for each in told] for name in ("value", "low", "high")}
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


def less(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Subtract; two that are infinite alike are equal."""
    with np.errstate(invalid="ignore"):
        return np.where(after == before, 0.0, after - before)


def shift(before: np.ndarray, after: np.ndarray) -> Interval:
    """Give by how much the second of two samples lies higher: the median of all differences between them.

    The interval lies between order statistics of the differences, by the normal approximation of the Mann-Whitney
    statistic with a correction for continuity.

    Args:
        before: one sample; an infinite value counts, NaN does not.
        after: the other.

    Returns:
        The shift; everything as interval where a sample has fewer than 6 values.

    Sources:
        J. L. Hodges and E. L. Lehmann, Estimates of location based on rank tests, Annals of Mathematical Statistics 34
        (1963) 598-611.
    """
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    few, many = sorted((before.size, after.size))
    if few == 0:
        return Interval(np.nan, -np.inf, np.inf, 0)
    gaps = np.sort(less(after[:, None], before[None, :]), axis=None)
    value = intervals.median(gaps).value
    if few < FEWEST:
        return Interval(value, -np.inf, np.inf, few)
    spread = np.sqrt(gaps.size * (few + many + 1) / 12)
    depth = int(gaps.size / 2 - norm.ppf((1 + LEVEL) / 2) * spread - 0.5)
    return Interval(value, float(gaps[depth]), float(gaps[-1 - depth]), few)


# The test.


def paired_scores(gaps: np.ndarray) -> np.ndarray:
    """Give what is summed with random signs: differences as shares of their length, 0 where there is none.

    An infinite difference counts as the largest finite one of its cell, or as 1 where there is none but 0. How much
    depends on no sign, so the test stays exact.

    Args:
        gaps: differences, pairs then cells.
    """
    largest = np.max(np.abs(gaps), axis=0, where=np.isfinite(gaps), initial=0)
    largest = np.where(largest > 0, largest, 1.0)
    return _unit(np.clip(np.nan_to_num(gaps, posinf=np.inf, neginf=-np.inf), -largest, largest))


def pooled_scores(values: np.ndarray) -> np.ndarray:
    """Give what is summed with random labels: values less their cell's mean, as shares of their length.

    A lost lane counts as one range of the finite values beyond them (1 beyond where that is 0), no data as the mean.

    Args:
        values: lanes of both samples, then cells.
    """
    finite = np.isfinite(values)
    low = np.min(values, axis=0, where=finite, initial=np.inf)
    high = np.max(values, axis=0, where=finite, initial=-np.inf)
    low, high = np.where(finite.any(axis=0), (low, high), 0.0)
    reach = np.where(high > low, high - low, 1.0)
    values = np.clip(values, low - reach, high + reach) - low  # so that equal values have exactly their mean
    known = ~np.isnan(values)
    mean = np.sum(values, axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return _unit(np.where(known, values - mean, 0.0))


def _unit(scores: np.ndarray) -> np.ndarray:
    scale = np.max(np.abs(scores), axis=0)
    scores = np.divide(scores, scale, out=np.zeros_like(scores), where=scale > 0)  # whose squares can't be lost
    length = np.sqrt(np.sum(scores**2, axis=0))
    return np.divide(scores, length, out=scores, where=length > 0)


@cache
def sign_flips(pairs: int, _: int) -> np.ndarray:
    """Give ways of exchanging the sides of pairs: a sign for each, the first row being as it was.

    All of them where they are at most 10,000 (the first pair keeps its sign: no size depends on all signs together),
    else 9999 at random, the same each time.
    """
    if 2 ** (pairs - 1) <= RESAMPLES + 1:
        return np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=pairs - 1)])
    drawn = np.random.default_rng(0).choice((1.0, -1.0), (RESAMPLES, pairs))
    return np.concatenate([np.ones((1, pairs)), drawn])


@cache
def relabellings(first: int, second: int) -> np.ndarray:
    """Give ways of dealing lanes to two samples of these sizes, the first row being as it was.

    Rows sum to 0 and have the length at which a sum with unit scores has variance 1 over all ways. All ways where they
    are at most 10,000, else 9999 at random, the same each time.
    """
    lanes = first + second
    if comb(lanes, second) <= RESAMPLES + 1:
        chosen = np.array(list(combinations(range(lanes), second)))[::-1]  # the last ones are the second's own
        labels = np.zeros((len(chosen), lanes))
        np.put_along_axis(labels, chosen, 1.0, axis=1)
    else:
        labels = np.tile(np.arange(lanes) >= first, (RESAMPLES + 1, 1)).astype(float)
        labels[1:] = np.random.default_rng(0).permuted(labels[1:], axis=1)
    labels -= second / lanes
    return labels * np.sqrt((lanes - 1) / np.sum(labels[0] ** 2))


def maxima(scores: np.ndarray, exchanges: np.ndarray, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Give the largest standardised difference of all cells for every exchange, and each cell's as it was.

    Args:
        scores: lanes or pairs, then cells; of length 1 along the first, or all 0.
        exchanges: ways of exchanging, then lanes or pairs; the first row as it was.
        known: of which lanes of two samples there are data, as `scores`; by default all.
    """
    largest, own = np.zeros(len(exchanges)), []
    for start in range(0, scores.shape[1], _CELLS):
        some = slice(start, start + _CELLS)
        sizes = np.abs(exchanges @ scores[:, some])
        if known is not None and not known[:, some].all():
            sizes *= _level_factors(exchanges, known[:, some])
        np.maximum(largest, sizes.max(axis=1), out=largest)
        own.append(sizes[0])
    return largest, np.concatenate(own)


def _level_factors(exchanges: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give the factors that bring sums over two samples to variance 1 where these lack data.

    With j of all k known lanes in the second sample a sum of unit scores has the variance j (k - j) / (k (k - 1)),
    and not m (n - m) / (n (n - 1)) as with all n lanes known and m in the second. Without the factors a cell whose data
    lie otherwise among the samples than others' would seem to vary less than it does.
    """
    second = exchanges > 0
    lanes, size = known.shape[0], second[0].sum()
    total, there = known.sum(axis=0), second.astype(float) @ known
    split = there * (total - there)
    even = total * (total - 1) * size * (lanes - size) / (lanes * (lanes - 1))
    return np.sqrt(np.divide(even, split, out=np.zeros_like(split), where=split > 0))


def shares_at_least(largest: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Give the share of all exchanges, that which was among them, whose largest difference is at least so large."""
    return 1 - np.searchsorted(np.sort(largest), own * (1 - _ROUNDING)) / len(largest)


def _as_matrix(values: xr.DataArray, ratio: bool) -> np.ndarray:
    """Give values as a matrix, seeds then cells, in double precision."""
    matrix = values.values.astype(float).reshape(values.sizes["seed"], -1)
    if not ratio:
        return matrix
    return np.log(np.maximum(matrix, np.finfo(np.float32).tiny))


def shared_seeds(first: xr.DataArray | xr.Dataset, second: xr.DataArray | xr.Dataset) -> np.ndarray:
    """Give the places, in both, of the seeds that both have: equal `seed` and `data_seed`."""
    mine, theirs = (list(zip(each["seed"].values, each["data_seed"].values, strict=True)) for each in (first, second))
    return np.array([(place, theirs.index(key)) for place, key in enumerate(mine) if key in theirs], int).reshape(-1, 2)


def independent(results: xr.DataArray | xr.Dataset) -> bool:
    """Tell whether the seeds of a cell have nothing in common but what all of them have.

    All may have the same `seed` or the same `data_seed`. If only some have, as in a grid of both, they say less than
    their number, and to exchange them one by one would find differences where there are none.
    """
    return all(len(np.unique(results[name])) in (1, results.sizes["seed"]) for name in ("seed", "data_seed"))
