"""Results in the form of `open_results`, with closed forms in place of trainings.

Frequency k of a lane decays as exp(-epoch / tau) with
tau = k**2 / (1000 * learning_rate) * (64 / width) * (1 + seed / 10), so halving epochs are known: tau * ln 2.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from sweep.base import labels

EPOCHS = np.unique(np.concatenate([[0.0], np.geomspace(1, 1000, 30).round()]))
AXES: dict[str, Sequence] = {
    "seed": range(5),
    "learning_rate": [1e-4, 1e-3, 1e-2],
    "width": [16.0, 64.0],
}


def results(
    axes: Mapping[str, Sequence] = AXES,
    *,
    frequencies: Sequence[float] = (1, 2, 3, 5, 8),
    epochs: np.ndarray = EPOCHS,
    points: int = 64,
) -> xr.Dataset:
    """Build results over any swept axes; seed, learning_rate and width change the numbers."""
    sweep = xr.Dataset(coords={name: np.asarray(list(values)) for name, values in axes.items()})
    shape = tuple(sweep.sizes.values())
    status = xr.DataArray(np.full(shape, labels.FINISHED, np.int8), sweep.coords, list(axes))
    clock = xr.DataArray(epochs, dims="epoch", coords={"epoch": epochs})
    tone = xr.DataArray(
        np.asarray(frequencies, float), dims="frequency", coords={"frequency": list(map(float, frequencies))}
    )
    tau = time_constant(tone, sweep)
    amount = np.exp(-clock / tau) + xr.zeros_like(status, dtype=float)
    grid = np.arange(points) / points
    x = xr.DataArray(grid, dims="x", coords={"x": grid})
    wave = np.sin(2 * np.pi * tone * x)
    target = wave.sum("frequency") + xr.zeros_like(status, dtype=float)
    moments = epochs[np.unique(np.linspace(0, len(epochs) - 1, 7).round().astype(int))]
    prediction = (wave * (1 - amount.sel(epoch=moments))).sum("frequency").rename(epoch="snapshot_epoch")
    ds = xr.Dataset(
        {
            "loss": (amount**2).sum("frequency") / 2,
            "spectral_error": amount,
            "spatial_error": abs((wave * amount).sum("frequency")),
            "prediction": prediction,
            "target": target,
            "status": status,
            "first_bad_epoch": xr.full_like(status, np.nan, dtype=float),
        }
    ).transpose(*axes, "epoch", "frequency", "snapshot_epoch", "x")
    for name in ds.variables:
        known = (labels.METRICS | labels.RECORDED | labels.DIMENSIONS).get(str(name))
        ds[name].attrs = known.attributes() if known else {"units": "1", "long_name": str(name).replace("_", " ")}
    ds["status"].attrs |= labels.flag_attributes(labels.STATUS)
    ds.attrs = {"name": "synthetic/page", "question": "Which frequency comes first?", "figures": "[]"}
    stored = ("loss", "spectral_error", "spatial_error", "prediction")
    return ds.assign({name: ds[name].astype(np.float32) for name in stored})


def over_two_features(ds: xr.Dataset) -> xr.Dataset:
    """Lay what lies along x out over two features, with as many values each."""
    count = int(ds.sizes["x"] ** 0.5)
    side = np.linspace(-1, 1, count)
    sizes = {"x1": side, "x2": side}
    changed = {}
    for name in ("spatial_error", "prediction", "target"):
        if name in ds:
            plane = ds[name].isel(x=slice(count**2)).drop_vars("x").assign_coords(x=range(count**2))
            stacked = plane.assign_coords(x1=("x", np.repeat(side, count)), x2=("x", np.tile(side, count)))
            changed[name] = stacked.set_index(x=["x1", "x2"]).unstack("x").assign_attrs(ds[name].attrs)
    found = ds.drop_dims("x").assign(changed)
    for name in sizes:
        found[name].attrs = labels.DIMENSIONS[name].attributes()
    return found


def with_rows(ds: xr.Dataset) -> xr.Dataset:
    """Let what lies along x be the predictions for rows of data, every fourth of them for validation."""
    target = ds["target"].isel({name: 0 for name in ds["target"].dims if name != "x"}).values
    rows = ds["prediction"].rename(x="sample").assign_coords(sample=range(ds.sizes["x"]))
    held = xr.DataArray((np.arange(ds.sizes["x"]) % 4 == 0).astype(float), dims="sample")
    found = ds.drop_dims("x").assign(
        sample_prediction=rows, is_validation=(held + xr.zeros_like(ds["status"], dtype=float)),
        validation_loss=(ds["loss"] * 2).assign_attrs(labels.METRICS["validation_loss"].attributes()),
    )  # fmt: skip
    return found.assign_coords(sample_target=("sample", target), sample_input=(("sample", "feature"), target[:, None]))


def fitting(figure: str, ds: xr.Dataset) -> xr.Dataset:
    """Give the results what a figure needs that not every page has."""
    if figure in ("surface", "surface_error"):
        return over_two_features(ds)
    return with_rows(ds) if figure == "predicted" else ds


def time_constant(frequency, knobs) -> xr.DataArray:
    """Return the closed form's decay time in epochs."""
    rate = knobs["learning_rate"] if "learning_rate" in knobs.coords else 1e-2
    width = knobs["width"] if "width" in knobs.coords else 64.0
    seed = knobs["seed"] if "seed" in knobs.coords else 0
    return frequency**2 / (1000 * rate) * (64 / width) * (1 + 0.1 * seed)


def ended(ds: xr.Dataset, code: int, where, *, from_record: int = 0) -> xr.Dataset:
    """Return results in which the lanes of a mask ended with a status; they are NaN from a record on."""
    mask = where & xr.ones_like(ds["status"], dtype=bool)
    ds = ds.copy()
    attrs = ds["status"].attrs
    ds["status"] = ds["status"].where(~mask, np.int8(code)).astype(np.int8).assign_attrs(attrs)
    for name, array in ds.data_vars.items():
        late = array.coords["epoch"] >= ds["epoch"][from_record] if "epoch" in array.dims else None
        if "snapshot_epoch" in array.dims:
            late = array.coords["snapshot_epoch"] >= ds["epoch"][from_record].item()
        if late is not None:
            ds[name] = array.where(~(mask & late)).transpose(*array.dims).assign_attrs(array.attrs)
    bad = float(ds["epoch"][from_record]) if code == labels.DIVERGED else np.nan
    ds["first_bad_epoch"] = ds["first_bad_epoch"].where(~mask, bad)
    return ds


def union(seeds: int = 5, epochs: np.ndarray = EPOCHS) -> xr.Dataset:
    """Build a union along `point`: sgd at four learning rates and two momenta, then adam at three learning rates."""
    rows = [("sgd", rate, momentum) for momentum in (0.0, 0.9) for rate in (1e-3, 1e-2, 1e-1, 1.0)]
    rows += [("adam", rate, np.nan) for rate in (1e-4, 1e-3, 1e-2)]
    speed = [rate * (1 + np.nan_to_num(momentum)) / (10 if name == "sgd" else 1) for name, rate, momentum in rows]
    ds = results({"seed": range(seeds), "learning_rate": speed}, epochs=epochs, points=8).rename(learning_rate="point")
    knobs = dict(zip(("optimizer", "learning_rate", "momentum"), zip(*rows, strict=True), strict=True))
    return ds.assign_coords(point=range(len(rows)), **{name: ("point", list(knobs[name])) for name in knobs})
