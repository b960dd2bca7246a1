"""Make one HTML file of stores, to explore without a network and without JAX: `python -m sweep.report STORE...`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import tyro

from sweep.base.errors import SweepError
from sweep.base.signals import Terminated
from sweep.cli import streams
from sweep.cli.command import parse, run_command, say

PROG = "python -m sweep.report"
POLL: Final = 5.0  # seconds between two looks at a store that is being run


@dataclass(frozen=True)
class Options:
    """Make a report of stores: one HTML file that opens from disk.

    Args:
        stores: stores that `python -m sweep.run` wrote, complete or not.
        out: the file to make. An older report there is replaced.
        live: write it again as the runs go on, until all are complete or Ctrl-C; the open page follows.
        force: replace --out whatever it is.
        claims: the verdicts that `python -m sweep.claims --out` keeps; those of these pages are shown.
        debug: show the traceback of an error.
    """

    stores: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("report.html")
    live: bool = False
    force: bool = False
    claims: Path = Path("docs/claims.json")
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Write the report that the command line asks for, and print its path."""
    options = parse(Options, args, PROG)
    if not options.stores:
        raise SweepError(f"no store named: {PROG} results/PAGE [options]")
    _check(options)
    streams.ignore_output_failures()
    going_on = _write(options)
    say(f"{options.out} ({options.out.stat().st_size / 1e6:.1f} MB)")
    if going_on and options.live:
        try:
            _follow(options)
        except (KeyboardInterrupt, Terminated):
            with suppress(SweepError):
                _write(replace(options, live=False))  # else the open page would load itself again for ever
            raise


def _follow(options: Options) -> None:
    """Write the report again and again until all stores are complete.

    A store that is read just while it is written may look damaged: what can't be read twice in a row is.
    """
    going_on, failed = True, False
    while going_on:
        time.sleep(POLL)
        try:
            going_on, failed = _write(options), False
        except SweepError:
            if failed:
                raise
            failed = True


def _check(options: Options) -> None:
    """Refuse, before anything is read, what can't be made."""
    from sweep.files import outputs

    try:
        import bokeh  # noqa: F401
    except ModuleNotFoundError:
        raise SweepError("reports need Bokeh, which is not installed: pip install 'sweep-lanes[report]'") from None
    from sweep.report.html import is_ours

    outputs.check_apart(options.out, options.stores)
    outputs.check(options.out, is_ours, force=options.force)


def _write(options: Options) -> bool:
    """Write the report once, and tell whether some store is incomplete still."""
    from sweep.claims import verdict_tables
    from sweep.files import outputs
    from sweep.report.document import report
    from sweep.results.dataset import open_results  # heavy, as the others are, and `--help` is not

    stores = {store: open_results(store) for store in options.stores}
    going_on = not all(ds.attrs.get("complete") for ds in stores.values())
    text = report(stores, verdict_tables.load(options.claims), reload=POLL if options.live and going_on else 0.0)
    with outputs.replace_output(options.out) as beside:
        beside.write_text(text, encoding="utf-8")
    return going_on


if __name__ == "__main__":
    run_command(main)
