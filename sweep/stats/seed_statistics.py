"""Statistics over seeds with their 95% intervals, cell by cell of labelled results. One number's are in `intervals`.

As everywhere a lane that was lost, or that never came to a threshold, is +inf, which counts; NaN is no data, and is
counted as unknown.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import xarray as xr

from sweep import stats
from sweep.stats import intervals, measures

KNOWN: Final = 2 / 3  # of the points of a power law that a seed must have reached

_WORDS: Final = {
    "low": "lower end of the 95% interval",
    "high": "upper end of the 95% interval",
    "seeds": "seeds that went in",
    "unknown": "seeds left out, theirs not being known",
    "infinite": "seeds that were lost or never came there",
}


def interquartile_mean(array: xr.DataArray) -> xr.DataArray:
    """Give the mean over the middle half of the seeds, with the array's name and attributes.

    Args:
        array: values as `stats.measured` gives them: +inf counts, NaN does not.

    Returns:
        Weights as in `intervals.middle_mean`; +inf where more than a quarter of the seeds are, NaN where no seed has
        data.
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
        `value`, `low` and `high` in the array's units, the numbers of `seeds` that went in, of `infinite` ones among
        them, and of those left out as `unknown`.
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
    named = _assemble(
        dict(zip(("value", "low", "high", "seeds", "infinite", "unknown"), found, strict=True)), array.attrs
    )
    for end in ("low", "high") if statistic is intervals.mean else ():
        told = ", ".join(f"{share:.0%} of {seeds} seeds" for seeds, share in intervals.SKEWED.items())
        named[end].attrs["comment"] = f"holds in less than 95% where values are skewed: lognormal(1) in {told}"
    return named


def share_converged(error: xr.DataArray, threshold: float, status: xr.DataArray | None = None) -> xr.Dataset:
    """Give the share of seeds that have come to a threshold by each epoch, with Wilson's interval.

    Args:
        error: over `seed` and `epoch`, as `stats.measured` gives it.
        threshold: in the units of `error`; a seed has converged from the first record with an error of at most that.
        status: status of the lanes, where at hand, see `stats.epochs_to`.

    Returns:
        `value`, `low` and `high` over `epoch`, which never falls; the numbers of `seeds` that went in, of `infinite`
        ones among them, which never converge (lost lanes, and those that are too slow), and of those left out as
        `unknown`, because they have not run.
    """
    times = stats.seeded(stats.epochs_to(error, threshold, status)["epoch"])
    seeds = times.notnull().sum("seed")
    done = (times <= error["epoch"]).sum("seed").transpose(..., "epoch")
    found = xr.apply_ufunc(_shares, done, seeds, output_core_dims=[["part"]])
    value, low, high = (found.isel(part=part) for part in range(3))
    infinite, unknown = (times == np.inf).sum("seed"), times.isnull().sum("seed")
    counts = {"seeds": seeds, "infinite": infinite, "unknown": unknown}
    attributes = {"units": "1", "long_name": "share of seeds that have converged"}
    return _assemble({"value": value, "low": low, "high": high} | counts, attributes)


def _shares(done: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Give share, lower and upper end along a new last axis; of each pair of counts once, as there are few."""
    done, seeds = np.broadcast_arrays(done, seeds)
    pairs, place = np.unique(np.stack([done.ravel(), seeds.ravel()]), axis=1, return_inverse=True)
    found = [intervals.share(np.arange(count) < some) for some, count in pairs.T]
    return np.array([(each.value, each.low, each.high) for each in found])[place.reshape(done.shape)]


def power_law(times: xr.DataArray, dim: str = "frequency") -> xr.Dataset:
    """Fit times = c * coordinate^exponent for each seed, and give the median exponent over seeds with its interval.

    The fit is by least squares on logarithms, see `measures.exponent`. A time of +inf (never in this training) or of 0
    (there before it) is known to lie beyond an end and has no logarithm: it is left out. What is left of a seed's
    points is then the easier part, so that its exponent says how times go among those; a seed with fewer than two
    thirds of its points is unknown.

    Args:
        times: epochs to a threshold over `seed` and `dim`, as `stats.epochs_to(...)["epoch"]` gives them.
        dim: whose coordinate is positive.

    Returns:
        As `with_interval`, and `left_out`: how many points of seeds that went in were left out.
    """
    times = stats.seeded(times)
    exponents = measures.exponent(times, dim, share=KNOWN)
    gone = (~(stats.finite(times) & (times > 0))).sum(dim).where(exponents.notnull()).sum("seed").astype(int)
    found = with_interval(exponents)
    return found.assign(left_out=gone.assign_attrs(units="1", long_name=f"points along {dim} left out of the fits"))


def _assemble(parts: dict[str, xr.DataArray], attributes: dict) -> xr.Dataset:
    """Put a statistic together: its value and ends have the units of what it is of, its counts have none."""
    found = xr.Dataset(parts)
    for name in found.data_vars:
        kept = attributes if name in ("value", "low", "high") else {"units": "1"}
        found[name].attrs = kept | ({"long_name": _WORDS[str(name)]} if name in _WORDS else {})
    return found
