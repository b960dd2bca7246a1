"""Verify a store: `python -m sweep.check results/freq_principle`; with `--repair`, repair it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse, run_command, say
from sweep.cli.optional import OptionalPath

PROG = "python -m sweep.check"


@dataclass(frozen=True)
class Options:
    """Check that no file of a store has changed since it was written, and list damaged files; exit code 1 if any is.

    Args:
        store: a store that `python -m sweep.run` wrote.
        repair: repair it: metadata and coordinates are rewritten, lanes with damaged curves are marked as not run, so
            that `python -m sweep.run PAGE --resume` trains them again.
        page: the page of the store, which `--repair` needs if the page defines functions.
        debug: show the traceback of an error.
    """

    store: tyro.conf.Positional[Path]
    repair: bool = False
    page: OptionalPath = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Verify the store that the command line names, and repair it with `--repair`.

    Raises:
        SystemExit: with code 1, if the store is damaged and is not repaired.
        SweepError: if it is not a store, or if the damage can't be repaired.
    """
    options = parse(Options, args, PROG)
    if options.page is not None and not options.repair:
        raise SweepError("--page needs --repair: add --repair, or leave out --page")
    from sweep.base.labels import UNDIGESTED
    from sweep.results import store as stores

    path = options.store
    if options.repair and stores.find_copy(path):
        raise SweepError(
            f"{path} is in object storage, where nothing is repaired: copy it to a folder, repair it there, and copy "
            f"it to another address"
        )
    if not stores.has_digests(path) and (schema := stores.check(path)["schema"]) in UNDIGESTED:
        say(f"{path} has no digests, as it is of schema {schema}: damage in it can't be found")
        return
    found = stores.damages(path)
    for damage in found:
        say(f"{damage.file} {damage.what}")
    if found and options.repair:
        _repair(options)
        say(f"repaired; {_describe_remaining(path)}")
    elif found:
        count = f"1 file of {path} is" if len(found) == 1 else f"{len(found)} files of {path} are"
        say(f"{count} damaged: {PROG} {path} --repair repairs what can be repaired")
        raise SystemExit(1)
    else:
        say(f"{path} is undamaged")


def _repair(options: Options) -> None:
    """Repair the store, under its lock."""
    from sweep.page.load import load
    from sweep.results import store as stores
    from sweep.runs.repair import repair

    page = load(options.page) if options.page else None
    with stores.hold(options.store) as lock, stores.blame_store(options.store):
        repair(options.store, lock, stores.damages(options.store), page)


def _describe_remaining(path: Path) -> str:
    """Return the line that says what remains to be done after a repair."""
    from sweep.results import store as stores

    attributes = stores.check(path)
    if attributes.get("complete"):
        return f"{path} is undamaged"
    page = [str(attributes.get("page", "PAGE")), *json.loads(attributes.get("arguments", "[]"))]
    return f"`python -m sweep.run {shlex.join([*page, '--out', str(path), '--resume'])}` trains the missing lanes"


if __name__ == "__main__":
    run_command(main)
