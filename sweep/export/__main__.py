"""Write results for other tools, without JAX: `python -m sweep.export STORE --to csv`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from sweep.base.errors import SweepError
from sweep.cli import streams
from sweep.cli.command import parse, run_command, say
from sweep.cli.optional import OptionalPath
from sweep.cli.stores import is_copy
from sweep.export.formats import Format, find
from sweep.files import outputs
from sweep.results import schema

PROG = "python -m sweep.export"


@dataclass(frozen=True)
class Options:
    """Write results in the format of another tool.

    Args:
        store: a store that `python -m sweep.run` wrote.
        to: csv or parquet (long tables, a row for each lane, epoch, ...), netcdf (one file for xarray and others),
            tensorboard or wandb-offline (a run for each combination of knobs, medians over seeds), safetensors (the
            trained network of each lane, a file for each).
        out: the folder to write, for netcdf the file; by default beside the store, named after it and the format; for
            a store in object storage in the working directory.
        metric: names of the metrics to export; by default all.
        force: replace --out whatever it holds, and write any number of networks.
        debug: show the traceback of an error.
    """

    store: tyro.conf.Positional[Path]
    to: str
    out: OptionalPath = None
    metric: tuple[str, ...] = ()
    force: bool = False
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Write the export that the command line requests, and print its path."""
    options = parse(Options, args, PROG)
    chosen = find(options.to)
    beside = Path() if is_copy(options.store) else options.store.parent
    out = options.out or beside / f"{options.store.resolve().name}{chosen.ending}"
    write = _write_networks if chosen.of_networks else _write_results
    write(options, chosen, out)
    say(out)


def _write_results(options: Options, chosen: Format, out: Path) -> None:
    from sweep.export import tidy  # slow to import, and `--help` needs neither
    from sweep.results.dataset import open_results

    ds = open_results(options.store)
    metrics = tidy.metrics(ds, options.metric)
    _check_output(options, chosen, out)
    if unfinished := schema.count_unseen(ds):
        say(f"incomplete: {unfinished:,} of {ds['status'].size:,} lanes have not run to their end, and have no values")
    with outputs.replace_output(out) as place:
        chosen.load()(ds, metrics, place, say)


def _check_output(options: Options, chosen: Format, out: Path) -> None:
    outputs.check_apart(out, [options.store])
    outputs.check(out, chosen.recogniser.load(), force=options.force)
    streams.ignore_output_failures()


def _write_networks(options: Options, chosen: Format, out: Path) -> None:
    from sweep.export.networks import MOST_FILES
    from sweep.results.store import check

    check(options.store)  # what is no store is refused as such, before its output is looked at
    if options.metric:
        raise SweepError(f"--to {options.to} writes networks and no metrics: leave out --metric")
    _check_output(options, chosen, out)
    with outputs.replace_output(out) as place:
        chosen.load()(options.store, place, say, None if options.force else MOST_FILES)


if __name__ == "__main__":
    run_command(main)
