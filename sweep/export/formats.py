"""The formats by name: who writes each, what it needs, and how its own older output is known."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError, unknown_name


@dataclass(frozen=True)
class Format:
    """A format, whose module is imported when it is asked for.

    Args:
        module: in `sweep.export`, of the writer.
        function: that writes it: `function(ds, metrics, out, say)`.
        ending: of the default output's name.
        owner: module whose `is_ours` knows older output.
        needs: modules of other packages that it takes.
        extra: with which they are installed.
    """

    module: str
    function: str
    ending: str
    owner: str = "folder"
    needs: tuple[str, ...] = ()
    extra: str = ""

    @property
    def write(self) -> Callable[..., None]:
        """The writer."""
        return getattr(_module(self.module), self.function)

    @property
    def is_ours(self) -> Callable[[Path], bool]:
        """What tells of an output whether an export made it."""
        return _module(self.owner).is_ours


def _module(name: str) -> Any:
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
    """Give a format.

    Raises:
        SweepError: for one that nobody knows, and for one that needs what is not installed.
    """
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)
    found = FORMATS[name]
    if missing := [module for module in found.needs if find_spec(module) is None]:
        raise SweepError(f'--to {name} needs {missing[0]}: pip install "sweep-lanes[{found.extra}]"')
    return found
