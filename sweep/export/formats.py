"""The formats by name: the writer of each, what it needs, and how its older output is recognised."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from sweep.base.errors import SweepError, unknown_name
from sweep.base.registry import Entry


@dataclass(frozen=True)
class Format(Entry):
    """The declaration of a format.

    Args:
        function: the writer, as "sweep.export.<module>:<name>": `writer(ds, metrics, out, say)`; of networks
            `writer(store, out, say, most)`, with the largest number of files that it may write, None for any.
        ending: end of the default output's name.
        recogniser: the function that recognises older output, written like `function`.
        needs: modules of other packages that the writer needs.
        extra: the extra of this package that installs them.
        of_networks: whether it holds trained networks instead of results.
    """

    ending: str
    recogniser: Entry = Entry("sweep.export.folder:is_export")
    needs: tuple[str, ...] = ()
    extra: str = ""
    of_networks: bool = False


FORMATS: Final = {
    "csv": Format("sweep.export.long:write_csv", "-csv"),
    "parquet": Format("sweep.export.long:write_parquet", "-parquet", needs=("pyarrow",), extra="parquet"),
    "netcdf": Format(
        "sweep.export.netcdf:write_netcdf",
        ".nc",
        Entry("sweep.export.netcdf:is_export"),
        ("h5netcdf", "h5py"),
        "netcdf",
    ),
    "tensorboard": Format(
        "sweep.export.trackers:write_tensorboard", "-tensorboard", needs=("tensorboardX",), extra="tensorboard"
    ),
    "wandb-offline": Format("sweep.export.trackers:write_wandb", "-wandb", needs=("wandb",), extra="wandb"),
    "safetensors": Format(
        "sweep.export.networks:write_safetensors",
        "-safetensors",
        needs=("safetensors",),
        extra="safetensors",
        of_networks=True,
    ),
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
