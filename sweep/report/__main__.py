"""Write one interactive HTML file of stores, without network or JAX: `python -m sweep.report STORE...`."""

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
CLAIMS: Final = Path("docs/claims.json")  # read if it is there
POLL: Final = 5.0  # seconds between two readings of a store that is being run


@dataclass(frozen=True)
class Options:
    """Make a report of stores: one HTML file that opens from disk.

    Args:
        stores: stores that `python -m sweep.run` wrote, complete or not.
        out: the file to write. An older report there is replaced.
        live: update the report during the runs, until all are complete or Ctrl-C; an open report reloads itself.
        force: replace --out whatever it holds.
        claims: verdicts that `python -m sweep.claims --out` wrote; those on the stores' pages are shown.
        debug: show the traceback of an error.
    """

    stores: tyro.conf.Positional[tuple[Path, ...]]
    out: Path = Path("report.html")
    live: bool = False
    force: bool = False
    claims: Path = CLAIMS
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Write the report that the command line requests, and print its path."""
    options = parse(Options, args, PROG)
    if not options.stores:
        raise SweepError(f"no store named: {PROG} results/PAGE [options]")
    _check(options)
    streams.ignore_output_failures()
    incomplete = _write(options)
    say(f"{options.out} ({options.out.stat().st_size / 1e6:.1f} MB)")
    if incomplete and options.live:
        try:
            _follow(options)
        except (KeyboardInterrupt, Terminated):
            with suppress(SweepError):
                _write(replace(options, live=False))  # otherwise an open report would reload itself for ever
            raise


def _follow(options: Options) -> None:
    """Write the report repeatedly until all stores are complete.

    A store that is read while it is written may look damaged; only two failures in a row count as damage.
    """
    incomplete, failed = True, False
    while incomplete:
        time.sleep(POLL)
        try:
            incomplete, failed = _write(options), False
        except SweepError:
            if failed:
                raise
            failed = True


def _check(options: Options) -> None:
    """Refuse options that cannot work, before anything is read."""
    from sweep.files import outputs

    try:
        import bokeh  # noqa: F401
    except ModuleNotFoundError:
        raise SweepError("reports need Bokeh, which is not installed: pip install 'sweep-lanes[report]'") from None
    from sweep.report.html import is_report

    outputs.check_apart(options.out, options.stores)
    outputs.check(options.out, is_report, force=options.force)


def _write(options: Options) -> bool:
    """Write the report once; tell whether some store is still incomplete."""
    from sweep.claims import verdict_tables
    from sweep.files import outputs
    from sweep.report.document import report
    from sweep.results.dataset import open_results  # slow to import, as the others, and `--help` needs none

    stores = {store: open_results(store) for store in options.stores}
    incomplete = not all(ds.attrs.get("complete") for ds in stores.values())
    if options.claims != CLAIMS and not options.claims.exists():
        raise SweepError(f"there is no file {str(options.claims)!r} of verdicts: name one, or leave --claims out")
    text = report(stores, verdict_tables.load(options.claims), reload=POLL if options.live and incomplete else 0.0)
    with outputs.replace_output(options.out) as beside:
        beside.write_text(text, encoding="utf-8")
    return incomplete


if __name__ == "__main__":
    run_command(main)
