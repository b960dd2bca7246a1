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

if TYPE_CHECKING:  # heavy, and `--help` is not
    import xarray as xr

    from sweep.compare.summary import Comparison

PROG = "python -m sweep.compare"
DISAGREE: Final = 1  # exit code of --check
LONGEST: Final = 120  # letters of a folder's name
FIGURE, TABLE = "comparison", "differences.csv"
SUFFIXES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Options:
    """Compare two stores or more with the first of them, or the slices of one store.

    Args:
        stores: stores that `python -m sweep.run` wrote; one, with --by.
        out: the folder to make, with the figure (PNG, SVG and PDF) and a table of all differences (CSV); by default
            results/comparisons/ and the names, with --check none.
        metric: what to compare, any metric over epochs.
        epoch: the record to compare; by default the last one, or all where knobs vary along one dimension only.
        rows: the dimension of the figure's rows; by default the first.
        columns: the dimension of the figure's columns; by default the next one.
        by: a knob of a single store; its slices are compared with that of its first value.
        threshold: of the metric, for the epochs to get there; by default 0.9 for an accuracy, 0.5 for a relative
            spectral error, and for all else a tenth of the first's median before training.
        check: test all cells together, for no difference but seed noise, and leave with code 1 if that is rejected
            at 5%.
        force: replace --out whatever it is.
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
    """Compare, print and write what the command line asks for.

    Raises:
        SystemExit: with code 1, where `--check` finds a difference beyond seed noise.
    """
    options = parse(Options, args, PROG)
    out = _place(options)
    from sweep.cli.terminal import Terminal
    from sweep.compare.page_differences import compare_pages
    from sweep.compare.summary import compare, times
    from sweep.compare.terminal import show_comparison

    stores, left_out = _open(options)
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


def _place(options: Options) -> Path | None:
    """Choose the folder to make, None for none; refuse what can't be one."""
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
        raise SweepError("--rows and --columns are of the figure, and --check alone draws none: add --out")
    if out:
        outputs.check_apart(out, options.stores)
        outputs.check(out, _is_ours, force=options.force)
    return out


def _is_ours(out: Path) -> bool:
    """Tell whether a folder holds nothing but what this command makes."""
    return {path.name for path in out.iterdir()} == {TABLE, *(f"{FIGURE}{suffix}" for suffix in SUFFIXES)}


def _open(options: Options) -> "tuple[dict[str, xr.Dataset], list[str]]":
    """Open the stores, or cut one into slices, by name; and say which of its lanes are in none."""
    from sweep.compare.alignment import slice_by
    from sweep.results.dataset import open_results
    from sweep.results.lane_tables import count_lacking

    if options.by is not None:
        whole = open_results(options.stores[0])
        slices, count = slice_by(whole, options.by), count_lacking(whole, options.by)
        return slices, [f"{count} of {whole['status'].size} lanes have no {options.by} and are left out"] * bool(count)
    short = [store.resolve().name for store in options.stores]
    names = short if len(set(short)) == len(short) else list(map(str, options.stores))
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return {name: open_results(store) for name, store in zip(names, options.stores, strict=True)}, []


def _check_complete(stores: "dict[str, xr.Dataset]") -> None:
    """Refuse to judge by lanes that have not run."""
    for name, ds in stores.items():
        if count := schema.count_unseen(ds):
            raise SweepError(f"--check takes complete stores: of {name} {count} lanes have not run to their end")


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
    """Tell whether some part differs beyond seed noise; of several others each has its share of the 5%.

    Raises:
        SweepError: where that can't be told.
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
