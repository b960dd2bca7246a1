"""What claims measure: numbers per lane that say where and when a fit is good. For statistics over seeds see `stats`.

Every measure is computed lane by lane and keeps the swept dimensions. A lane that was lost (diverged, failed or cut)
gets the worst possible value, so that lost lanes never make a result look better; one that has not run to its end is
NaN.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sweep import stats
from sweep.base.errors import SweepError

# A metric at all records and at the last one: the names by which claims call these functions.
recorded, final = stats.measured, stats.final


# Regions of x: masks that may be combined by & and |, and inverted by ~.


def within(ds: xr.Dataset, low: float, high: float) -> xr.DataArray:
    """Say which points have low <= x <= high."""
    return (_x(ds) >= low) & (_x(ds) <= high)


def near(ds: xr.Dataset, places: Sequence[float], distance: float) -> xr.DataArray:
    """Say which points lie at most `distance` from one of `places`, such as the target's extrema."""
    gap = abs(_x(ds) - xr.DataArray(np.asarray(places, float), dims="place"))
    return (gap <= distance).any("place")


def beyond_range(ds: xr.Dataset) -> xr.DataArray:
    """Say which points lie outside the training range; `~beyond_range(ds)` gives those inside.

    Raises:
        SweepError: for results that do not say in which range of x their lanes were trained.
    """
    low, high = (_x(ds).attrs.get(name) for name in ("train_low", "train_high"))
    if low is None or high is None:
        raise SweepError("these results do not say on which x their lanes were trained: run the page again")
    return (_x(ds) < low) | (_x(ds) > high)


def _x(ds: xr.Dataset) -> xr.DataArray:
    if "x" not in ds.dims:
        raise SweepError("these results have no x: record spatial_error or prediction")
    return ds["x"]


def _select_points(ds: xr.Dataset, where: xr.DataArray) -> xr.Dataset:
    """Select the points of x at which a mask holds."""
    places = np.flatnonzero(where & _x(ds).notnull())
    if not places.size:
        low, high = float(_x(ds).min()), float(_x(ds).max())
        raise SweepError(f"no point of x lies in the region to be measured: x goes from {low:g} to {high:g}")
    return ds.isel(x=places)


# Errors over x.


def error_where(ds: xr.Dataset, where: xr.DataArray, order: float = 2) -> xr.DataArray:
    """Give the error of the fit over some points: (mean over these x of |f(x) - h(x)|^order)^(1 / order).

    Args:
        ds: results with `spatial_error`.
        where: a mask over x, such as `abs(ds.x) > 5`, `within(ds, 0, 1)` or `~beyond_range(ds)`.
        order: 2 gives the root mean square error, 1 the mean absolute error.

    Returns:
        The error over the swept dimensions and `epoch`, in the target's units; every point has the same weight.
        +inf from the record at which a lane was lost.

    Raises:
        SweepError: where the mask holds for no point.
    """
    region = _select_points(
        _select_variable(ds, "spatial_error"), where
    )  # first, since all x at all epochs may be gigabytes
    mean = (stats.measured(region, "spatial_error").astype(float) ** order).mean("x", skipna=False)
    kind = {1.0: "mean absolute error", 2.0: "root mean square error"}.get(order, f"error of order {order:g}")
    attributes = {"units": ds["spatial_error"].attrs.get("units", "1"), "long_name": kind, "better": "lower"}
    return (mean ** (1 / order)).rename("error").assign_attrs(attributes)


def error_in(ds: xr.Dataset, low: float, high: float) -> xr.DataArray:
    """Give the root mean square error over low <= x <= high, see `error_where`."""
    return error_where(ds, within(ds, low, high))


def radius(ds: xr.Dataset, tolerance: float, centre: float = 0.0) -> xr.DataArray:
    """Give the distance from a centre up to which the fit is accurate.

    Args:
        ds: results with `spatial_error`.
        tolerance: the largest |f(x) - h(x)| that counts as accurate.
        centre: a value of x.

    Returns:
        The largest distance, over the swept dimensions and `epoch`, of a point from the centre such that this
        point and all points that are not farther away are accurate. 0 where the nearest one is not accurate, and from
        the record at which a lane was lost.
    """
    distance = abs(_x(ds) - centre)
    error = stats.measured(_select_variable(ds, "spatial_error"), "spatial_error")
    end = distance.where(error > tolerance, np.inf).min("x")  # the nearest point that is not accurate
    rising = np.unique(distance.values[~np.isnan(distance.values)])
    inside = np.searchsorted(rising, end.values)  # how many of them lie before the end
    found = end.copy(data=np.concatenate([[0.0], rising])[inside]).where(error.notnull().any("x"))
    attributes = {"units": _x(ds).attrs.get("units", "1"), "long_name": "radius of accurate fit", "better": "higher"}
    return found.transpose(..., "epoch").rename("radius").assign_attrs(attributes)


# The shape of the last fit.


def extrema(ds: xr.Dataset, low: float, high: float, *, flat: float = 0.0) -> xr.DataArray:
    """Count the local extrema of the network's output at the last snapshot.

    Args:
        ds: results with `prediction`.
        low: where the range of x starts; its two ends do not count as extrema.
        high: where it ends.
        flat: a change from one point to the next counts as zero if it is at most this; a few units of rounding keep
            the ripples of a saturated output from being counted.

    Returns:
        The number of changes of sign between successive steps, over the swept dimensions. A plateau counts once if it
        is an extremum, and not at all if the output continues in the same direction after it. +inf for a lost lane.
    """
    last = _select_points(_select_variable(ds, "prediction").isel(snapshot_epoch=-1, drop=True), within(ds, low, high))
    state = stats.measured(last, "prediction").max("x", skipna=False)
    return _count_turns(last["prediction"], flat).where(stats.finite(state), state).rename("extrema")


def spurious_extrema(ds: xr.Dataset, low: float, high: float, *, flat: float = 0.0) -> xr.DataArray:
    """Count how many more local extrema the network's output has than its target, as `extrema` does.

    Returns:
        The difference; negative where the network has fewer than the target, +inf for a lost lane.
    """
    target = _select_points(ds[["target"]], within(ds, low, high))["target"]
    return (extrema(ds, low, high, flat=flat) - _count_turns(target, 0.0)).rename("spurious_extrema")


def _count_turns(curve: xr.DataArray, flat: float) -> xr.DataArray:
    """Count changes of sign between successive steps along x."""
    steps = curve.sortby("x").diff("x")
    return xr.apply_ufunc(_sign_changes, steps.where(abs(steps) > flat, 0), input_core_dims=[["x"]])


def _sign_changes(steps: np.ndarray) -> np.ndarray:
    """Count changes of sign along the last axis; a zero takes the sign of the last nonzero step before it."""
    signs = np.sign(steps)
    place = np.where(signs != 0, np.arange(signs.shape[-1]), 0)
    signs = np.take_along_axis(signs, np.maximum.accumulate(place, axis=-1), axis=-1)
    return np.sum(signs[..., 1:] * signs[..., :-1] < 0, axis=-1).astype(float)


# Whether a lane fits at the end.


def stuck_at(ds: xr.Dataset, levels: Sequence[float], tolerance: float = 0.05) -> xr.DataArray:
    """Say whether the final loss lies on one of several plateaus: |loss - level| <= tolerance * level.

    Args:
        ds: results with `loss`.
        levels: losses at which networks get stuck, such as those of the best constant and of the best straight line.
        tolerance: relative half-width of a plateau.

    Returns:
        1 or 0 over the swept dimensions; 0 for a lost lane, which is lost and not stuck (`failed_to_fit` counts
        both); NaN for one that has not run.
    """
    loss = stats.final(ds, "loss")
    plateaus = xr.DataArray(np.asarray(levels, float), dims="level")
    on = (abs(loss - plateaus) <= tolerance * abs(plateaus)).any("level")
    return on.astype(float).where(loss.notnull()).rename("stuck")


def failed_to_fit(ds: xr.Dataset, threshold: float) -> xr.DataArray:
    """Say whether the final loss is above a threshold: 1 or 0; 1 for a lost lane, NaN for one that has not run."""
    loss = stats.final(ds, "loss")
    return (loss > threshold).astype(float).where(loss.notnull()).rename("failed_to_fit")


# Times and the course of training.


def ratio_of_times(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """Give how many times as long the second event took as the first: second / first, seed by seed.

    Args:
        first: epochs, as `stats.epochs_to(...)["epoch"]` gives them: +inf for never, NaN for no data.
        second: the same for another event.

    Returns:
        The ratio. +inf where only the second never happened, 0 where only the first never did, NaN where neither
        did, which says nothing. 1 where both times are 0, +inf where only the first is 0.
    """
    ratio = (second / first).where((first != 0) | (second != 0), 1.0)
    return ratio.rename("ratio_of_times").assign_attrs(units="1", long_name="ratio of times")


def exponent(values: xr.DataArray, dim: str, *, share: float = 1.0) -> xr.DataArray:
    """Fit values = c * coordinate^exponent along a dimension by least squares on logarithms, lane by lane.

    Args:
        values: such as epochs; those that are not positive and finite are left out.
        dim: a dimension whose coordinate is positive.
        share: at least this share of the values, and at least two values, must be left.

    Returns:
        The exponent over the other dimensions; NaN where too few values are left.
    """
    known = stats.finite(values) & (values > 0)
    height, place = np.log(values.where(known)), xr.apply_ufunc(np.log, values[dim]).where(known)
    centred = place - place.mean(dim)
    slope = (height * centred).sum(dim) / (centred**2).sum(dim).where(
        known.sum(dim) >= max(2, share * known.sizes[dim])
    )
    return slope.rename("exponent").assign_attrs(units="1", long_name=f"exponent of {dim}")


def gradient_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Give the gradient norm of the first layer over that of the last: far below 1 gradients vanish on the way back.

    Args:
        ds: results with `gradient_norm`.

    Returns:
        The ratio over the swept dimensions and `epoch`, where each lane has a last layer of its own.
        +inf from the record at which a lane was lost, NaN where both norms are 0.
    """
    norms = _select_variable(ds, "gradient_norm")["gradient_norm"]
    depth = norms.notnull().any("epoch").sum("layer")  # a shallow lane has NaN beyond its last layer
    norms = norms.drop_vars("layer", errors="ignore")
    first, last = norms.isel(layer=0), norms.isel(layer=depth - 1)
    state = stats.measured(ds[["status"]].assign(gradient_norm=last), "gradient_norm")
    attributes = {"units": "1", "long_name": "gradient norm, first layer over last"}
    ratio = (first / last).where(stats.finite(state), state).transpose(..., "epoch")
    return ratio.rename("gradient_ratio").assign_attrs(attributes)


def jitter(ds: xr.Dataset, share: float = 0.2) -> xr.DataArray:
    """Give how unsteady the loss is at the end: the standard deviation of its steps in decades.

    Args:
        ds: results with `loss`.
        share: of the epochs, counted from the end, that are used.

    Returns:
        The population standard deviation of log10(loss at a record) - log10(loss at the record before), over
        the swept dimensions. It depends on the distance between records: compare lanes of one page only. +inf for a
        lost lane; NaN where fewer than three records lie in that share.
    """
    late = np.flatnonzero(ds["epoch"] >= (1 - share) * ds["epoch"][-1])
    loss = stats.measured(_select_variable(ds, "loss").isel(epoch=late), "loss").astype(float)
    last = loss.isel(epoch=-1, drop=True)
    height = xr.apply_ufunc(np.log10, loss.clip(min=np.finfo(np.float32).tiny))  # a loss of 0 has no logarithm
    steps = height.diff("epoch")
    spread = steps.std("epoch", skipna=False) if steps.sizes["epoch"] > 1 else last * np.nan
    attributes = {"units": "decades", "long_name": "unsteadiness of the loss", "better": "lower"}
    return spread.where(stats.finite(last), last).rename("jitter").assign_attrs(attributes)


def monotonicity(values: xr.DataArray) -> xr.DataArray:
    """Give Spearman's rank correlation of epoch and value, lane by lane: 1 for rising, -1 for falling values.

    Args:
        values: over `epoch`; +inf ranks highest.

    Returns:
        The correlation over the other dimensions; NaN where the values are all the same.
    """
    rho = xr.apply_ufunc(
        stats.spearman, values["epoch"], values, input_core_dims=[["epoch"], ["epoch"]], vectorize=True
    )
    return rho.rename("monotonicity").assign_attrs(units="1", long_name="rank correlation of epoch and value")


def _select_variable(ds: xr.Dataset, name: str) -> xr.Dataset:
    """Select a variable and the status of lanes, before a measure copies anything."""
    if name not in ds.data_vars:
        stats.measured(ds, name)  # raises, and lists the variables there are
    return ds[["status", name]]
