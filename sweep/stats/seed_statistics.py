"""Statistics over seeds with their 95% intervals, for each cell of labelled results; for one cell see `intervals`.

As everywhere, a lane that was lost, or that never reached a threshold, is +inf, which counts; NaN is no data and is
counted as unknown.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import xarray as xr

from sweep import stats
from sweep.stats import intervals, measures

_PART: Final = "share or end"  # no dimension of a page has this name
KNOWN_SHARE: Final = 2 / 3  # of the points of a power law that a seed must have reached

_WORDS: Final = {
    "low": "lower end of the 95% interval",
    "high": "upper end of the 95% interval",
    "seeds": "seeds that were used",
    "unknown": "seeds left out because their value is unknown",
    "infinite": "seeds whose value is infinite: lost, or a threshold never reached",
}


def interquartile_mean(array: xr.DataArray) -> xr.DataArray:
    """Give the mean over the middle half of the seeds, with the array's name and attributes.

    Args:
        array: values as `stats.measured` gives them: +inf counts, NaN does not.

    Returns:
        Means weighted as in `intervals.middle_mean`; +inf where more than a quarter of the seeds are +inf, NaN where
        no seed has data.
    """
    return xr.apply_ufunc(
        intervals.middle_mean, stats.seeded(array).astype(float), input_core_dims=[["seed"]], keep_attrs=True
    ).rename(array.name)


def with_interval(
    array: xr.DataArray, statistic: Callable[[np.ndarray], intervals.Interval] = intervals.median
) -> xr.Dataset:
    """Give a statistic over seeds with its 95% interval.

    Args:
        array: values as `stats.measured` gives them: +inf counts, NaN does not.
        statistic: one of `intervals`: median, interquartile_mean, mean, share or variation.

    Returns:
        `value`, `low` and `high` in the array's units, and three numbers of seeds: `seeds` that were used, `infinite`
        ones among them, and `unknown` ones that were left out.
    """
    array = stats.seeded(array).astype(float)

    def parts(values: np.ndarray) -> tuple[float, float, float, int, int, int]:
        found = statistic(values)
        infinite = int(np.isinf(values).sum())
        return found.value, found.low, found.high, found.seeds, infinite, found.unknown

    found = xr.apply_ufunc(
        parts, array, input_core_dims=[["seed"]], output_core_dims=[[]] * 6, vectorize=True,
        output_dtypes=[float, float, float, int, int, int],
    )  # fmt: skip
    labelled = _assemble(
        dict(zip(("value", "low", "high", "seeds", "infinite", "unknown"), found, strict=True)), array.attrs
    )
    for end in ("low", "high") if statistic is intervals.mean else ():
        coverage = ", ".join(f"{share:.0%} of {seeds} seeds" for seeds, share in intervals.SKEWED_COVERAGE.items())
        labelled[end].attrs["comment"] = f"holds in less than 95% where values are skewed: lognormal(1) in {coverage}"
    return labelled


def share_converged(error: xr.DataArray, threshold: float, status: xr.DataArray | None = None) -> xr.Dataset:
    """Give the share of seeds that have reached a threshold by each epoch, with Wilson's interval.

    Args:
        error: over `seed` and `epoch`, as `stats.measured` gives it.
        threshold: in the units of `error`; a seed has converged from the first record with an error of at most that.
        status: status of the lanes, if available, see `stats.epochs_to`.

    Returns:
        `value`, `low` and `high` over `epoch`, where `value` never falls; and three numbers of seeds: `seeds` that were
        used, `infinite` ones among them, which never converge (lost, or too slow), and `unknown` ones that were left
        out because they have not run.
    """
    times = stats.seeded(stats.epochs_to(error, threshold, status)["epoch"])
    seeds = times.notnull().sum("seed")
    done = (times <= error["epoch"]).sum("seed").transpose(..., "epoch")
    found = xr.apply_ufunc(_wilson_shares, done, seeds, output_core_dims=[[_PART]])
    value, low, high = (found.isel({_PART: part}) for part in range(3))
    infinite, unknown = (times == np.inf).sum("seed"), times.isnull().sum("seed")
    counts = {"seeds": seeds, "infinite": infinite, "unknown": unknown}
    attributes = {"units": "1", "long_name": "share of seeds that have converged"}
    return _assemble({"value": value, "low": low, "high": high} | counts, attributes)


def _wilson_shares(done: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Give share, lower and upper end along a new last axis; the few different pairs of counts are computed once."""
    done, seeds = np.broadcast_arrays(done, seeds)
    pairs, place = np.unique(np.stack([done.ravel(), seeds.ravel()]), axis=1, return_inverse=True)
    found = [intervals.share(np.arange(total) < count) for count, total in pairs.T]
    return np.array([(each.value, each.low, each.high) for each in found])[place.reshape(done.shape)]


def power_law(times: xr.DataArray, dim: str = "frequency") -> xr.Dataset:
    """Fit times = c * coordinate^exponent for each seed, and give the median exponent over seeds with its interval.

    The fit is by least squares on logarithms, see `measures.exponent`. A time of +inf (not reached in this training) or
    of 0 (reached before it) has no logarithm and is left out. The points that are left are then those that were
    reached, and the exponent is of these alone; a seed with fewer than two thirds of its points is unknown.

    Args:
        times: epochs to a threshold over `seed` and `dim`, as `stats.epochs_to(...)["epoch"]` gives them.
        dim: a dimension whose coordinate is positive.

    Returns:
        As `with_interval`, and `left_out`: the number of points left out, of the seeds that were used.
    """
    times = stats.seeded(times)
    exponents = measures.exponent(times, dim, share=KNOWN_SHARE)
    left_out = (~(stats.finite(times) & (times > 0))).sum(dim).where(exponents.notnull()).sum("seed").astype(int)
    found = with_interval(exponents)
    return found.assign(left_out=left_out.assign_attrs(units="1", long_name=f"points along {dim} left out of the fits"))


def _assemble(parts: dict[str, xr.DataArray], attributes: dict) -> xr.Dataset:
    """Put a statistic together: its value and ends have the units of the array, its counts are numbers of seeds."""
    found = xr.Dataset(parts)
    for name in found.data_vars:
        inherited = attributes if name in ("value", "low", "high") else {"units": "1"}
        found[name].attrs = inherited | ({"long_name": _WORDS[str(name)]} if name in _WORDS else {})
    return found
