"""Merge stores of one question: `python -m sweep.merge A B --out C`."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse, run_command, say
from sweep.cli.optional import OptionalPath
from sweep.cli.stores import open_store
from sweep.files.places import SPARE
from sweep.files.safe_files import exists

PROG = "python -m sweep.merge"


@dataclass(frozen=True)
class Options:
    """Merge stores of one question, such as those of two colleagues or of the parts of a sweep, into a new one.

    The stores may differ in their axes; the new one has the grid of all their values. Lanes that several have must be
    equal to the last bit. Of incomplete stores the waves that have ended are taken. No store is changed.

    Args:
        stores: two or more stores that `python -m sweep.run` wrote.
        out: the store to make; there must be none.
        prefer: the one of the stores whose lanes count where others have different values.
        page: the page of the stores, which is needed if it defines functions.
        debug: show the traceback of an error.
    """

    stores: tyro.conf.Positional[tuple[Path, ...]]
    out: str
    prefer: OptionalPath = None
    page: OptionalPath = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Merge the stores that the command line names."""
    options = parse(Options, args, PROG)
    out = open_store(options.out, SPARE)
    if exists(out):
        raise SweepError(f"{out} exists: name another place with --out")
    from sweep.page.load import load
    from sweep.runs.runner import load_jax

    page = load(options.page) if options.page else None
    load_jax()
    from sweep.runs.merging import merge

    merge(options.stores, out, prefer=options.prefer, page=page)
    _describe(options.stores, out)


def _describe(paths: Sequence[Path], out: Path) -> None:
    """Print what the new store has, and what it lacks."""
    from sweep.results.lane_choice import list_ended

    ended = list_ended(out)
    attributes, lanes = ended.attrs, prod(size for _, size, _ in json.loads(ended.attrs["dimensions"]))
    say(f"merged {', '.join(map(str, paths))} into {out}: {ended.sizes['lane']:,} of {lanes:,} lanes")
    if ended.sizes["lane"] < lanes:
        again = [str(attributes.get("page", "PAGE")), *json.loads(attributes.get("arguments", "[]")), "--out", str(out)]
        command = f"`python -m sweep.run {shlex.join([*again, '--grow'])}`"
        say(f"{command} trains the others, once its page has all values of these axes")


if __name__ == "__main__":
    run_command(main)
