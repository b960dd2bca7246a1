"""Verify a store: `python -m sweep.check results/freq_principle`; with `--repair` mend it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import command, parse, say
from sweep.cli.optional import OptionalPath

PROG = "python -m sweep.check"


@dataclass(frozen=True)
class Options:
    """Compare every file of a store with what was written, and name what is damaged; exit code 1 if anything is.

    Args:
        store: a store that `python -m sweep.run` wrote.
        repair: mend it: metadata and coordinates are written anew, lanes with damaged curves count as not run, so that
            `python -m sweep.run PAGE --resume` trains them again.
        page: the page of the store, for `--repair` where the store alone does not say enough: one with functions of its
            own.
        debug: show the traceback of an error.
    """

    store: tyro.conf.Positional[Path]
    repair: bool = False
    page: OptionalPath = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Verify what the command line names, and mend it if asked.

    Raises:
        SystemExit: with code 1, for a store that is damaged when this ends.
        SweepError: for what is no store, and for damage that can't be mended.
    """
    options = parse(Options, args, PROG)
    if options.page is not None and not options.repair:
        raise SweepError("--page is for --repair: add that, or leave it out")
    from sweep.base.labels import UNDIGESTED
    from sweep.results import store as stores

    path = options.store
    if not stores.has_digests(path) and (schema := stores.check(path)["schema"]) in UNDIGESTED:
        say(f"{path} carries no digests, as it is of schema {schema}: what is damaged in it can't be told")
        return
    found = stores.damages(path)
    for damage in found:
        say(f"{damage.file} {damage.what}")
    if found and options.repair:
        _repair(options)
        say(f"mended; {_what_is_left(path)}")
    elif found:
        count = f"1 file of {path} is" if len(found) == 1 else f"{len(found)} files of {path} are"
        say(f"{count} damaged: {PROG} {path} --repair mends what can be mended")
        raise SystemExit(1)
    else:
        say(f"{path} is as it was written")


def _repair(options: Options) -> None:
    """Mend the store, under its lock."""
    from sweep.page.load import load
    from sweep.results import store as stores
    from sweep.runs.repair import repair

    page = load(options.page) if options.page else None
    with stores.hold(options.store) as lock, stores.blame_store(options.store):
        repair(options.store, lock, stores.damages(options.store), page)


def _what_is_left(path: Path) -> str:
    """Say what is to be done about a store that was mended."""
    from sweep.results import store as stores

    attributes = stores.check(path)
    if attributes.get("complete"):
        return f"{path} is as it was written"
    page = [str(attributes.get("page", "PAGE")), *json.loads(attributes.get("arguments", "[]"))]
    return f"`python -m sweep.run {shlex.join([*page, '--out', str(path), '--resume'])}` trains what it lacks"


if __name__ == "__main__":
    command(main)
