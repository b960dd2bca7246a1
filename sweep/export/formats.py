"""The formats by name: the writer of each, what it needs, and how its older output is recognised."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError, unknown_name


@dataclass(frozen=True)
class Format:
    """A format, whose modules are imported on first use.

    Args:
        module: the writer's module in `sweep.export`.
        function: the writer: `function(ds, metrics, out, say)`.
        ending: end of the default output's name.
        recogniser: the module in `sweep.export` whose `is_export` recognises older output.
        needs: modules of other packages that the writer needs.
        extra: the extra of this package that installs them.
    """

    module: str
    function: str
    ending: str
    recogniser: str = "folder"
    needs: tuple[str, ...] = ()
    extra: str = ""

    @property
    def write(self) -> Callable[..., None]:
        """The writer."""
        return getattr(_import(self.module), self.function)

    @property
    def is_export(self) -> Callable[[Path], bool]:
        """The function that tells whether an export wrote an output."""
        return _import(self.recogniser).is_export


def _import(name: str) -> Any:
    return import_module(f"sweep.export.{name}")


FORMATS: Final = {
    "csv": Format("long", "write_csv", "-csv"),
    "parquet": Format("long", "write_parquet", "-parquet", needs=("pyarrow",), extra="parquet"),
    "netcdf": Format("netcdf", "write_netcdf", ".nc", "netcdf", ("h5netcdf", "h5py"), "netcdf"),
    "tensorboard": Format(
        "trackers", "write_tensorboard", "-tensorboard", needs=("tensorboardX",), extra="tensorboard"
    ),
    "wandb-offline": Format("trackers", "write_wandb", "-wandb", needs=("wandb",), extra="wandb"),
}


def find(name: str) -> Format:
    """Find a format by its name.

    Raises:
        SweepError: for an unknown format, and for one that needs a package that is not installed.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    found = FORMATS[name]
    if missing := [module for module in found.needs if find_spec(module) is None]:
        raise SweepError(f'--to {name} needs {missing[0]}: pip install "sweep-lanes[{found.extra}]"')
    return found
