"""Results as one netCDF-4 file: the whole Dataset, for xarray and all tools that read netCDF."""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.export import tidy
from sweep.export.folder import MAKER

_COMPRESSION: Final = {"zlib": True, "complevel": 4, "shuffle": True}


def write_netcdf(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write a netCDF-4 file that `xarray.open_dataset(..., engine="h5netcdf")` opens to the same numbers.

    Args:
        ds: results.
        metrics: names of the metrics; how lanes ended is written too.
        out: the file to write.
        say: called with the size.
    """
    kept = ds[[*tidy.lane_outcomes(ds), *metrics]].assign_attrs(made_by=MAKER)
    for variable in (kept, *kept.variables.values()):
        variable.attrs = {name: _plain_value(value) for name, value in variable.attrs.items()}
    say(f"{kept.nbytes / 1e6:,.1f} MB of numbers before compression")
    encoding = {name: _COMPRESSION for name, v in kept.variables.items() if v.ndim and v.dtype.kind in "iuf"}
    # In memory, because the library crashes where the disk is full.
    content = BytesIO()
    kept.to_netcdf(content, engine="h5netcdf", encoding=encoding)
    out.write_bytes(content.getbuffer())


def is_export(file: Path) -> bool:
    """Tell whether a file is an export.

    Raises:
        OSError: if it is no such file.
    """
    import h5py

    with h5py.File(file) as opened:
        return opened.attrs.get("made_by") == MAKER


def _plain_value(value: Any) -> Any:
    """Convert an attribute for netCDF: text and numbers do not change, truth values are 0 or 1, the rest is JSON."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, str | int | float | np.number | np.ndarray):
        return value
    return json.dumps(value)
