"""Verify a store: `python -m sweep.check results/freq_principle`; with `--repair` mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from sweep.cli import command, parse, say
from sweep.errors import SweepError

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
    page: Path | None = None
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
    from sweep import store as stores

    path = options.store
    if not stores.has_digests(path):
        schema = stores.check(path)["schema"]
        say(f"{path} carries no digests, as it is of schema {schema}: what is damaged in it can't be told")
        return
    found = stores.damages(path)
    for damage in found:
        say(f"{damage.file} {damage.what}")
    if found and options.repair:
        _repair(options)
        say(f"mended; `{_going_on(path)}` trains again what was lost")
    elif found:
        say(f"{len(found)} files of {path} are damaged: {PROG} {path} --repair mends what can be mended")
        raise SystemExit(1)
    else:
        say(f"{path} is as it was written")


def _repair(options: Options) -> None:
    """Mend the store, under its lock."""
    from sweep import store as stores
    from sweep.identity import differing
    from sweep.pages import load
    from sweep.repair import repair

    page = load(options.page) if options.page else None
    with stores.locked(options.store) as lock:
        if page and (fields := differing(page, stores.stated(options.store))):
            raise SweepError(f"{options.page} is not the page of {options.store}, it differs in {fields}")
        with stores.blamed(options.store):
            repair(options.store, lock, stores.damages(options.store), page)


def _going_on(path: Path) -> str:
    """Give the command that trains what a store lacks."""
    from sweep import store as stores

    page = stores.check(path).get("page", "PAGE")
    return f"python -m sweep.run {page} --out {path} --resume"


if __name__ == "__main__":
    command(main)
