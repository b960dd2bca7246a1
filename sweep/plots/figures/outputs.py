"""Networks with several outputs: which have panels, and what classes they stand for."""

import json
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from sweep.page.specs.loss import LOSSES

LossDescription: TypeAlias = str | dict[str, Any]

OUTPUT = "output"


def class_names(ds: xr.Dataset) -> list[str]:
    """Name the classes of the targets, in order; none if targets are numbers."""
    if "sample_target" not in ds.coords or ds["sample_target"].dtype.kind != "U":
        return []
    return list(json.loads(ds["sample_target"].attrs["class_names"]))


def loss_of(ds: xr.Dataset) -> LossDescription:
    """Give the loss of the page that results are of."""
    return json.loads(ds.attrs.get("experiment", "{}")).get("loss", "mean_squared")


def output_panels(ds: xr.Dataset) -> str | None:
    """Name the dimension `output` if each output has a panel; None if there is one, or outputs stand for classes."""
    return OUTPUT if OUTPUT in ds.dims and not class_names(ds) else None


def class_of(output: xr.DataArray, loss: LossDescription) -> xr.DataArray:
    """Give the number of the class that an output is assigned to: of the largest, or by the side of the boundary.

    Args:
        output: of a network.
        loss: as the page's description has it.
    """
    if OUTPUT in output.dims:
        best = output.fillna(-np.inf).argmax(OUTPUT).where(output.notnull().all(OUTPUT))
        return best.drop_vars(OUTPUT, errors="ignore")
    name = loss if isinstance(loss, str) else loss.get("function")
    boundary = LOSSES[str(name)].boundary if name in LOSSES else 0.0
    return (output > boundary).where(output.notnull()).astype(float)


def row_targets(ds: xr.Dataset) -> np.ndarray:
    """Give the targets of rows of data: numbers as they are, or the numbers of their classes."""
    names, targets = class_names(ds), ds["sample_target"].values
    return np.array([names.index(each) for each in targets], float) if names else targets


def in_units(lanes: xr.Dataset, name: str) -> xr.DataArray:
    """Give outputs in the units of the targets, also where these were standardised.

    Args:
        lanes: results.
        name: `prediction` or `sample_prediction`.
    """
    output = lanes[name].astype(float)
    if "target_mean" not in lanes:
        return output
    deviation, mean = lanes["target_deviation"].fillna(1.0), lanes["target_mean"].fillna(0.0)  # NaN: not standardised
    return (output * deviation + mean).transpose(*output.dims)
