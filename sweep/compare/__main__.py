"""Compare stores, or the slices of one, without JAX: `python -m sweep.compare A B`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse, run_command
from sweep.cli.optional import OptionalNumber, OptionalPath, OptionalText
from sweep.results import schema

if TYPE_CHECKING:  # slow to import, and `--help` needs none of it
    import xarray as xr

    from sweep.compare.summary import Comparison

PROG = "python -m sweep.compare"
DISAGREE: Final = 1  # exit code of --check
LONGEST: Final = 120  # characters of a folder's name
FIGURE, TABLE = "comparison", "differences.csv"
SUFFIXES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Options:
    """Compare two or more stores with the first of them, or the slices of one store.

    Args:
        stores: stores that `python -m sweep.run` wrote; one store with --by.
        out: the folder to write, with the figure (PNG, SVG and PDF) and a table of all differences (CSV); by default
            results/comparisons/ and the stores' names, or none with --check.
        metric: the metric to compare; it must be recorded over epochs.
        epoch: the record to compare; by default the last one, or all if knobs vary along one dimension only.
        rows: the dimension of the figure's rows; by default the first.
        columns: the dimension of the figure's columns; by default the next one.
        by: a knob of a single store; its slices are compared with that of its first value.
        threshold: value of the metric to which epochs are counted; by default 0.9 for an accuracy, 0.5 for a relative
            spectral error, and for all others a tenth of the first store's median before training, or half way to its
            last one where higher is better.
        check: test all cells together, and exit with code 1 if they differ beyond seed noise at the 5% level.
        force: replace --out whatever it holds.
        debug: show the traceback of an error.
    """

    stores: tyro.conf.Positional[tuple[Path, ...]]
    out: OptionalPath = None
    metric: str = "loss"
    epoch: OptionalNumber = None
    rows: OptionalText = None
    columns: OptionalText = None
    by: OptionalText = None
    threshold: OptionalNumber = None
    check: bool = False
    force: bool = False
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Compare, print and write what the command line requests.

    Raises:
        SystemExit: with code 1, if `--check` finds a difference beyond seed noise.
    """
    options = parse(Options, args, PROG)
    out = _output_folder(options)
    from sweep.cli.terminal import Terminal
    from sweep.compare.page_differences import compare_pages
    from sweep.compare.summary import compare, times
    from sweep.compare.terminal import show_comparison

    stores, left_out = _open_stores(options)
    if options.check:
        _check_complete(stores)
    compared = compare(stores, options.metric, options.epoch)
    reached = times(compared, options.threshold)
    figure = _draw(compared, options) if out else None
    console = Terminal(highlight=False)
    fields = compare_pages(list(stores.values())) if options.by is None else None
    show_comparison(console, replace(compared, notes=(*left_out, *compared.notes)), fields, reached)
    if out:
        _write(out, figure, compared)
        console.print(out, soft_wrap=True)
    if options.check and _disagree(compared):
        console.print("check: the outcomes disagree beyond seed noise")
        raise SystemExit(DISAGREE)
    if options.check:
        console.print("check: no difference beyond seed noise")


def _output_folder(options: Options) -> Path | None:
    """Give the folder to write, or None for none; refuse options that do not fit together."""
    from sweep.files import outputs

    if not options.stores:
        raise SweepError(f"no store named: {PROG} A B, or {PROG} A --by KNOB")
    if options.by is None and len(options.stores) < 2:
        raise SweepError(f"a comparison takes two stores or more, or one and --by KNOB: {PROG} A B")
    if options.by is not None and len(options.stores) > 1:
        raise SweepError(f"--by {options.by} compares the slices of one store, got {len(options.stores)} stores")
    names = [store.resolve().name for store in options.stores] + ([f"by-{options.by}"] if options.by else [])
    name = "-".join(names)
    if len(name) > LONGEST:
        name = f"{names[0]}-and-{len(names) - 1}-others"
    out = options.out or (None if options.check else Path("results", "comparisons", name))
    if out is None and (options.rows or options.columns):
        raise SweepError("--rows and --columns arrange the figure, and --check alone draws none: add --out")
    if out:
        outputs.check_apart(out, options.stores)
        outputs.check(out, _is_own_output, force=options.force)
    return out


def _is_own_output(out: Path) -> bool:
    """Tell whether a folder holds nothing but what this command makes."""
    return {path.name for path in out.iterdir()} == {TABLE, *(f"{FIGURE}{suffix}" for suffix in SUFFIXES)}


def _open_stores(options: Options) -> "tuple[dict[str, xr.Dataset], list[str]]":
    """Open the stores, or split one into slices, by name; and note how many lanes are in no slice."""
    from sweep.compare.alignment import slice_by
    from sweep.results.dataset import open_results
    from sweep.results.lane_tables import count_without

    if options.by is not None:
        ds = open_results(options.stores[0])
        slices, count = slice_by(ds, options.by), count_without(ds, options.by)
        return slices, [f"{count} of {ds['status'].size} lanes have no {options.by} and are left out"] * bool(count)
    short = [store.resolve().name for store in options.stores]
    names = short if len(set(short)) == len(short) else list(map(str, options.stores))
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return {name: open_results(store) for name, store in zip(names, options.stores, strict=True)}, []


def _check_complete(stores: "dict[str, xr.Dataset]") -> None:
    """Refuse to test stores with lanes that have not run."""
    for name, ds in stores.items():
        if count := schema.count_unseen(ds):
            raise SweepError(
                f"--check takes complete stores: {count} lanes of {name} have not run to their end: use --resume"
            )


def _draw(compared: "Comparison", options: Options) -> Any:
    from sweep.plots.figures.comparison import comparison

    return comparison(compared, options.rows, options.columns)


def _write(out: Path, figure: Any, compared: "Comparison") -> None:
    """Write the figure and the table of all cells."""
    from sweep.export.long import inert_words
    from sweep.files import outputs
    from sweep.plots.gallery import save

    with outputs.replace_output(out) as folder:
        folder.mkdir()
        save(figure, [folder / f"{FIGURE}{suffix}" for suffix in SUFFIXES])
        inert_words(compared.table).to_csv(folder / TABLE, index=False)


def _disagree(compared: "Comparison") -> bool:
    """Tell whether some part differs beyond seed noise; several parts share the 5% among them.

    Raises:
        SweepError: if there are too few seeds to decide.
    """
    from sweep.compare.permutation import ALPHA, TOO_FEW
    from sweep.stats.intervals import FEWEST

    for name, found in compared.found.items():
        if not compared.equal[name] and found.attrs["design"] == TOO_FEW:
            raise SweepError(
                f"--check can't judge {name}: it shares fewer than {FEWEST} independent seeds with {compared.first}"
            )
    needed = ALPHA / len(compared.found)
    smallest = max(1 / found.attrs["exchanges"] for found in compared.found.values())
    if not all(compared.equal.values()) and smallest > needed:
        raise SweepError(
            f"--check can't judge {len(compared.found)} others together: so few seeds give no p below {smallest:.2g}, "
            f"and {needed:.2g} is needed; compare fewer, or run more seeds"
        )
    return any(found.attrs["p"] <= needed for found in compared.found.values())


if __name__ == "__main__":
    run_command(main)
