"""Results as one netCDF-4 file: the Dataset as it is, for xarray and every tool that reads netCDF."""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.export import tidy
from sweep.export.folder import MAKER

_PACKED: Final = {"zlib": True, "complevel": 4, "shuffle": True}


def write_netcdf(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write a netCDF-4 file that `xarray.open_dataset(..., engine="h5netcdf")` opens to the same numbers.

    Args:
        ds: results.
        metrics: which; what is said of lanes goes along.
        out: the file to make.
        say: is told the size.
    """
    kept = ds[[*tidy.of_a_lane(ds), *metrics]].assign_attrs(made_by=MAKER)
    for variable in (kept, *kept.variables.values()):
        variable.attrs = {name: _plain(value) for name, value in variable.attrs.items()}
    say(f"{kept.nbytes / 1e6:,.1f} MB of numbers, before they are packed")
    packed = {name: _PACKED for name, v in kept.variables.items() if v.ndim and v.dtype.kind in "iuf"}
    # In memory, because the library crashes where the disk is full.
    content = BytesIO()
    kept.to_netcdf(content, engine="h5netcdf", encoding=packed)
    out.write_bytes(content.getbuffer())


def is_ours(file: Path) -> bool:
    """Tell whether a file is an export.

    Raises:
        OSError: where it is no file of this kind.
    """
    import h5py

    with h5py.File(file) as opened:
        return opened.attrs.get("made_by") == MAKER


def _plain(value: Any) -> Any:
    """Give an attribute as netCDF can hold it: text and numbers as they are, truth as 0 or 1, the rest as JSON."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, str | int | float | np.number | np.ndarray):
        return value
    return json.dumps(value)
