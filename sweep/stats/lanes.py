"""Statistics over seeds on labelled results: what the figures draw and the closing table says.

From the record at which a lane was lost (diverged, failed or cut) it counts as the worst possible value: +inf, or -inf
where higher values are better. So it makes a median worse and is never dropped silently. For a metric for which neither
direction is better it counts as +inf too. A lane that has not run, or is still running, is no data: NaN.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
import xarray as xr

from sweep.base import labels
from sweep.base.errors import SweepError
from sweep.results import schema

HALVED: Final = 0.5  # relative spectral error at which a frequency counts as half learned
REASONS: Final = ("reached", "censored", "diverged", "not_run")
WAS_REACHED, WAS_CENSORED, HAS_DIVERGED, NOT_RUN = range(len(REASONS))

_SHARE: Final = "share of seeds"  # no dimension of a page has this name, as it is no identifier
_Labelled = TypeVar("_Labelled", xr.DataArray, xr.Dataset)


def measured(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Give a variable as data for statistics: the worst value where a lane was lost, NaN where there is no data.

    Args:
        ds: results, or a selection of them, with `status`.
        name: the variable.

    Returns:
        The variable. Where it is NaN and the lane diverged, failed or was cut: +inf, or -inf if higher values are
        better. NaN for every lane that has not run to its end.

    Raises:
        SweepError: when the results have no such variable.
    """
    if name not in ds.data_vars:
        raise SweepError(f"these results have no {name!r}: they have {', '.join(map(str, ds.data_vars))}")
    array, status = ds[name], ds["status"]
    with xr.set_options(keep_attrs=True):
        lost = array.isnull() & status.isin(labels.LOST)
        return (
            array.where(~lost, labels.worst(schema.better(array)))
            .where(~status.isin(labels.WITHOUT_DATA))
            .transpose(*array.dims)
        )


def over_seeds(array: xr.DataArray) -> xr.Dataset:
    """Summarise an array over its dimension `seed`; without that dimension every cell is one seed.

    Args:
        array: values as `measured` gives them: infinite ones count, NaN does not.

    Returns:
        `median`, `lower` and `upper` (quartiles, linear between order statistics; infinite where an
        order statistic of nonzero weight is), and `count`, the seeds with data. NaN where no seed has data.
    """
    array = seeded(array)
    shares = {"lower": 0.25, "median": 0.5, "upper": 0.75}
    values = _along_shares(array, tuple(shares.values()))
    summary = xr.Dataset({name: values.isel({_SHARE: index}) for index, name in enumerate(shares)})
    return summary.assign(count=array.notnull().sum("seed"))


def seeded(array: _Labelled) -> _Labelled:
    """Give results the dimension `seed` where they lack it, also where seeds lie along another dimension."""
    return array if "seed" in array.dims else array.drop_vars("seed", errors="ignore").expand_dims("seed")


def median(array: xr.DataArray) -> xr.DataArray:
    """Give the median over seeds, with the array's name and attributes."""
    return _along_shares(array, (0.5,)).isel({_SHARE: 0}).rename(array.name)


def lower_quartile(array: xr.DataArray) -> xr.DataArray:
    """Give the lower quartile over seeds."""
    return over_seeds(array)["lower"]


def upper_quartile(array: xr.DataArray) -> xr.DataArray:
    """Give the upper quartile over seeds."""
    return over_seeds(array)["upper"]


def lowest_seed(array: xr.DataArray) -> xr.DataArray:
    """Give the lowest value of any seed; NaN does not count."""
    return array.reduce(np.fmin.reduce, "seed")


def highest_seed(array: xr.DataArray) -> xr.DataArray:
    """Give the highest value of any seed; NaN does not count."""
    return array.reduce(np.fmax.reduce, "seed")


def quantiles(array: xr.DataArray, shares: tuple[float, ...]) -> xr.DataArray:
    """Give quantiles over seeds, along a new last dimension `quantile`.

    Args:
        array: values as `measured` gives them: infinite ones count, NaN does not.
        shares: for each quantile the share of seeds that lie below it, in [0, 1].

    Returns:
        Linear between order statistics; infinite where one of nonzero weight is, NaN where no seed has data.
    """
    return _along_shares(array, shares).rename({_SHARE: "quantile"}).assign_coords(quantile=list(shares))


def _along_shares(array: xr.DataArray, shares: tuple[float, ...]) -> xr.DataArray:
    """Give the same quantiles along the dimension `_SHARE`."""
    return xr.apply_ufunc(
        _quantiles,
        seeded(array),
        kwargs={"shares": shares},
        input_core_dims=[["seed"]],
        output_core_dims=[[_SHARE]],
        keep_attrs=True,
    )


def _quantiles(values: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Quantiles along the last axis that leave NaN out and never compute inf - inf or inf * 0."""
    ordered = np.sort(values, axis=-1)  # NaN goes last, after +inf
    if np.isnan(ordered[..., -1]).any():
        count = np.sum(~np.isnan(ordered), axis=-1)
    else:  # the usual case: one position serves all cells, so that millions of them need no array of positions
        count = np.full((1,) * (values.ndim - 1), values.shape[-1])
    found = []
    for quantile in shares:
        place = np.maximum(count - 1, 0) * quantile
        below = np.floor(place).astype(int)
        share = place - below
        low, high = (
            np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]
            for index in (below, np.minimum(below + (share > 0), ordered.shape[-1] - 1))
        )
        with np.errstate(over="ignore"):  # in values that the next line does not use
            mixed = low * (1 - share) + high * np.where(share > 0, share, 1)  # no inf * 0
        found.append(np.where(share > 0, mixed, high))
    return np.stack(found, axis=-1)


def final(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Give a variable at the last record: the worst value for lost lanes, NaN for those not run to the end."""
    return _at_record(ds, name, -1)


def initial(ds: xr.Dataset, name: str) -> float:
    """Give the median of a variable's finite values at the first record, over all lanes; NaN without any."""
    start = _at_record(ds, name, 0).values
    start = start[np.isfinite(start)]
    return float(np.median(start)) if start.size else np.nan


def _at_record(ds: xr.Dataset, name: str, record: int) -> xr.DataArray:
    one = ds[["status", name]].isel(epoch=record, drop=True) if name in ds.data_vars else ds
    return measured(one, name).drop_vars("epoch", errors="ignore")


def finite(array: xr.DataArray) -> xr.DataArray:
    """Say where a value is a number: neither NaN nor infinite."""
    return abs(array) < np.inf


def lowest(score: xr.DataArray, dim: str) -> xr.DataArray:
    """Give the position of the lowest score along a dimension.

    Finite scores come first, then +inf, then NaN; among equals the first is taken. So there is a position even where
    every lane diverged: that of a diverged lane.
    """
    order = score.where(score.notnull(), np.inf)
    has_finite = finite(order).any(dim)
    return xr.where(has_finite, order.argmin(dim), score.notnull().argmax(dim))


def standing(ds: xr.Dataset) -> xr.DataArray:
    """Score lanes, lower is better: first those that reached the target, then those that finished, then those cut.

    Returns:
        For lanes that reached the target: epochs until then minus twice the last epoch, which is negative. For lanes
        that ran to the end or stopped improving: the final value of `schema.deciding`, the loss, of validation where
        there is any. For lanes that were cut: a number above every loss, the lower the later they were cut. +inf for
        diverged lanes; NaN for those not run to the end.
    """
    name = schema.deciding(ds)
    score = final(ds, name).astype(float)
    score = -score if schema.better(ds[name]) == "higher" else score
    if "stop_epoch" not in ds.data_vars:
        return score
    last, stop = float(ds["epoch"][-1]), ds["stop_epoch"]
    score = score.where(ds["status"] != labels.REACHED, stop - 2 * last)
    return score.where(ds["status"] != labels.CUT, (2 - stop / last) * 1e300)


def ranks_ends(ds: xr.Dataset) -> bool:
    """Tell whether `standing` ranks some lanes by when they ended: some reached a target or were cut."""
    return "stop_epoch" in ds.data_vars and bool(ds["status"].isin((labels.REACHED, labels.CUT)).any())


def best_place(ds: xr.Dataset, dims: Sequence[str]) -> dict[str, int]:
    """Find the best combination of all swept values: that of the lowest median of `standing` over seeds.

    Args:
        ds: results with `loss`, or with `validation_loss`, which then decides.
        dims: swept dimensions.

    Returns:
        Its index along each of these dimensions, and not along others.
    """
    score = median(standing(ds))
    place = int(lowest(xr.DataArray(score.variable.stack(all=score.dims)), "all")) if score.dims else 0
    where = np.unravel_index(place, score.shape)
    places = {str(dim): int(index) for dim, index in zip(score.dims, where, strict=True)}
    return {dim: places[dim] for dim in dims}


def best_learning_rate(ds: xr.Dataset) -> xr.DataArray:
    """Give the learning rate of the lowest median final loss over seeds, diverged counting as +inf.

    Where there is a validation loss, it is the one that counts.

    Where lanes may end early, it is the one that reached the target soonest, or was cut last (`standing`).

    Args:
        ds: results with the dimension `learning_rate`.

    Returns:
        One learning rate for each combination of the other swept dimensions; NaN where no learning rate
        has a finite median.

    Raises:
        SweepError: where `learning_rate` is no dimension of its own (it lies along `point` in a union).
    """
    if "learning_rate" not in ds.dims:
        along = ", ".join(map(str, ds["learning_rate"].dims)) if "learning_rate" in ds.coords else "nothing"
        raise SweepError(f"learning_rate is no dimension of these results, it lies along {along}: select along that")
    score = median(standing(ds))
    best = ds["learning_rate"].isel(learning_rate=lowest(score, "learning_rate"))
    found = best.drop_vars("learning_rate").where(finite(score).any("learning_rate"))
    return found.rename("best_learning_rate").assign_attrs(ds["learning_rate"].attrs)


def at_best_learning_rate(ds: xr.Dataset, array: _Labelled) -> _Labelled:
    """Select an array, or a Dataset, at the best learning rate of each combination of other dimensions.

    Args:
        ds: results whose loss decides which learning rate is best.
        array: what to select from; returned as it is if the results lack the dimension `learning_rate`.

    Returns:
        The array without the dimension `learning_rate`, which stays as a coordinate that says which one
        was selected.
    """
    if "learning_rate" not in ds.dims:
        return array
    if ds.sizes["learning_rate"] == 1:
        return array.isel(learning_rate=0)
    return array.isel(learning_rate=lowest(median(standing(ds)), "learning_rate"))


def epochs_to(
    error: xr.DataArray,
    threshold: float | None = None,
    status: xr.DataArray | None = None,
    *,
    at_least: float | None = None,
) -> xr.Dataset:
    """Find the first recorded epoch at which an error is at most a threshold, or a score at least another.

    Args:
        error: any array over `epoch`; a stored metric, what `measured` gives, or a median.
        threshold: the largest value that counts as reached, in the units of `error`.
        at_least: instead of `threshold`, the smallest value that counts as reached, such as an accuracy.
        status: status of the lanes, if available. It distinguishes lanes that were cut (censored), still run (not
            run) or diverged: without it they look alike, since all end in NaN.

    Returns:
        `epoch`: +inf where the threshold was not reached, NaN where nothing was measured; never the last
        epoch for "not reached". `reason`: int8 with flag meanings `REASONS`; "diverged" where the values
        end in an infinite value or in NaN before the threshold was reached.

    Raises:
        SweepError: if none or both of `threshold` and `at_least` are given.
    """
    if threshold is not None and at_least is None:
        hit = error <= threshold
    elif at_least is not None and threshold is None:
        hit = error >= at_least
    else:
        given = "both are" if threshold is not None else "none is"
        raise SweepError(f"epochs_to takes one threshold, but {given} given: pass threshold= or at_least=")
    hit = hit.transpose(..., "epoch")
    reached = hit.any("epoch")
    last = error.isel(epoch=-1, drop=True)
    unseen = error.isnull().all("epoch")
    reason = xr.where(finite(last), WAS_CENSORED, HAS_DIVERGED)
    if status is not None:
        reason = reason.where(status != labels.CUT, WAS_CENSORED)
        unseen = unseen & ~status.isin(labels.LOST) | status.isin(labels.WITHOUT_DATA)
    reason = reason.where(~reached, WAS_REACHED).where(~unseen, NOT_RUN)
    epochs = error["epoch"].isel(epoch=hit.argmax("epoch")).drop_vars("epoch")
    first = epochs.astype(float).where(reached, np.inf).where(~unseen)
    first = first.assign_attrs(error["epoch"].attrs | {"better": "lower"})  # sooner is better
    return xr.Dataset({"epoch": first, "reason": reason.astype(np.int8).assign_attrs(labels.flag_attributes(REASONS))})


def halving_epoch(median_error: xr.DataArray) -> xr.DataArray:
    """Give the first recorded epoch at which a median spectral error is at most 0.5.

    Returns:
        Epochs; +inf where that never happens, NaN where nothing was measured.
    """
    attributes = {
        "units": "epochs",
        "long_name": "epoch of the first record with median error at most 0.5",
        "better": "lower",
    }
    return epochs_to(median_error, HALVED)["epoch"].rename("halving_epoch").assign_attrs(attributes)


def order_of_convergence(halving: xr.DataArray) -> xr.DataArray:
    """Give Spearman's rank correlation between frequency and halving epoch: 1 is strictly low to high.

    Args:
        halving: halving epochs over `frequency`; frequencies at +inf rank last, tied.

    Returns:
        The Pearson correlation of the average ranks, in [-1, 1]. NaN where fewer than two frequencies
        have data or all are tied.
    """
    rho = xr.apply_ufunc(
        spearman,
        halving["frequency"],
        halving,
        input_core_dims=[["frequency"], ["frequency"]],
        vectorize=True,
    )
    attributes = {"units": "1", "long_name": "rank correlation of frequency and halving epoch"}
    return rho.rename("order_of_convergence").assign_attrs(attributes)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Give Spearman's rank correlation: the Pearson correlation of the average ranks.

    Args:
        first: numbers; +inf ranks last, places of NaN in either are left out.
        second: as many numbers.

    Returns:
        A number in [-1, 1]; NaN where fewer than two places are left or one side's values are all tied.
    """
    known = ~(np.isnan(first) | np.isnan(second))
    ranks = np.stack([_average_ranks(first[known]), _average_ranks(second[known])])
    if known.sum() < 2 or np.any(np.ptp(ranks, axis=1) == 0):
        return np.nan
    return float(np.corrcoef(ranks)[0, 1])


def _average_ranks(values: np.ndarray) -> np.ndarray:
    """Give ranks from 1; tied values share the mean of their ranks."""
    below = np.sum(values[None, :] < values[:, None], axis=1)
    equal = np.sum(values[None, :] == values[:, None], axis=1)
    return below + (equal + 1) / 2


def summary(ds: xr.Dataset) -> xr.Dataset:
    """Give the closing table: what became of the lanes at each width, or at each value of what else was swept.

    Args:
        ds: results with `status` and `loss`.

    Returns:
        Over the swept dimensions other than `seed` and `learning_rate`, all at the best learning rate:
        `best_learning_rate` (where swept), `final_loss` (median over seeds) and `final_validation_loss` (where there is
        validation), the numbers of lanes `finished` (including those that reached the target or stopped improving),
        `lost` (diverged, failed), `cut` (if any was) and `not_run`; and where spectral errors were recorded
        `halving_epoch` over `frequency` and `order_of_convergence`.
    """
    best = at_best_learning_rate(ds, ds)
    table = {"final_loss": median(final(best, "loss"))}
    if schema.deciding(ds) == schema.VALIDATION:
        table = {"final_validation_loss": median(final(best, schema.VALIDATION)), **table}
    if "learning_rate" in ds.dims:
        table["best_learning_rate"] = best_learning_rate(ds)
    status = seeded(best["status"])
    for name, codes in (("lost", (labels.DIVERGED, labels.FAILED)), ("not_run", labels.WITHOUT_DATA)):
        table[name] = status.isin(codes).sum("seed")
    table["finished"] = status.sizes["seed"] - table["lost"] - table["not_run"]
    if bool((ds["status"] == labels.CUT).any()):
        table["cut"] = (status == labels.CUT).sum("seed")
        table["finished"] = table["finished"] - table["cut"]
    if "spectral_error" in ds.data_vars:
        table["halving_epoch"] = halving_epoch(median(measured(best, "spectral_error")))
        table["order_of_convergence"] = order_of_convergence(table["halving_epoch"])
    return xr.Dataset(table).drop_vars("learning_rate", errors="ignore")
