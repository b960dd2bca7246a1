"""Decide the claims of pages by their stores, without JAX: `python -m sweep.claims STORE...`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tyro

from sweep.base.errors import SweepError
from sweep.cli import streams
from sweep.cli.command import parse, run_command
from sweep.cli.optional import OptionalPath
from sweep.page.experiment import Experiment
from sweep.page.load import FULL, VARIATION, load, smoke

if TYPE_CHECKING:
    from sweep.claims.verdicts import Verdict

PROG = "python -m sweep.claims"
Variations = Mapping[str, Callable[[Path], Experiment]]  # of a page, by what stands behind its name
MOST: Final = {"said by": 5, "criterion": 12, "measured, 95% interval": 14, "seeds": 8, "verdict": 9}  # letters
KEPT: Final[Variations] = {"": load, FULL: lambda path: load(path, FULL)}  # whose verdicts are worth a file
SHOWN: Final[Variations] = {**KEPT, "smoke": lambda path: smoke(load(path))}


@dataclass(frozen=True)
class Options:
    """Decide what pages claim, by the results in their stores.

    Args:
        stores: stores that `python -m sweep.run` wrote, complete ones.
        out: write all verdicts to this JSON file; those in it of claims of other stores are kept.
        answers: write the tables of all verdicts in --out into this Markdown page, between <!-- claims 001 --> and
            <!-- end of claims -->.
        experiments: the folder of the pages.
        debug: show the traceback of an error.
    """

    stores: tyro.conf.Positional[tuple[Path, ...]]
    out: OptionalPath = None
    answers: OptionalPath = None
    experiments: Path = Path("experiments")
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Decide the claims, write what is asked for, and print the verdicts."""
    options = parse(Options, args, PROG)
    if not options.stores:
        raise SweepError(f"no store named: {PROG} results/PAGE [options]")
    if options.answers and not options.out:
        raise SweepError("--answers shows the verdicts of all stores: name the file that keeps them with --out")
    verdicts = _judge_all(options.stores, options.experiments, KEPT if options.out else SHOWN)
    _write(verdicts, options)
    if options.out:
        streams.ignore_output_failures()
    _show(verdicts)


def _judge_all(stores: Iterable[Path], experiments: Path, variations: Variations) -> "list[Verdict]":
    """Decide the claims of all stores; refuse to decide one twice."""
    origin: dict[str, Path] = {}
    verdicts = []
    for store in stores:
        for verdict in judge_store(store, experiments, variations):
            if verdict.id in origin:
                raise SweepError(
                    f"claim {verdict.id!r} is decided by {origin[verdict.id]} and by {store}: name one of them, "
                    f"or give each an id of its own"
                )
            origin[verdict.id] = store
            verdicts.append(verdict)
    return verdicts


def judge_store(store: Path, experiments: Path, variations: Variations) -> "Iterator[Verdict]":
    """Decide the claims of one store's page.

    Args:
        store: a complete store.
        experiments: the folder of the pages.
        variations: those of a page that will do.

    Raises:
        SweepError: for a store that is not one, is incomplete, or is not of the page as it is now; for a page
            without claims; for a measure that does not do.
    """
    from sweep.claims.verdicts import judge
    from sweep.results.dataset import open_results  # heavy, as is the next, and `--help` is not

    ds = open_results(store)
    page = _page(store, ds.attrs, experiments, variations)
    return (judge(claim, ds, page.name) for claim in page.claims)


def _page(store: Path, attributes: Mapping[Any, Any], experiments: Path, variations: Variations) -> Experiment:
    """Load the page of a store as it was run, and make sure that the store holds all of its results.

    To load a page is to run it: it is the user's own file, as for `sweep.run`. The store only says which of the pages
    in the folder it is of. So its name never leads out of that folder, be it by "..", by an absolute path or by a link
    (`results.checks` refuses such a name too); and of a page that was run nothing counts, neither its claims nor
    their measures, unless its fingerprint is the store's.
    """
    from sweep.page.identity import fingerprint, stored_fingerprint
    from sweep.results.checks.attributes import check_provenance

    check_provenance(store, attributes)
    page, _, varied = attributes["name"].partition(VARIATION)
    path = experiments / f"{page}.py"
    if not attributes["complete"]:
        raise SweepError(f"{store} is incomplete: run {path} again, with --resume")
    if not path.is_file():
        raise SweepError(
            f"{store} is of page {page!r}, and there is no {path}: name the pages' folder with --experiments"
        )
    if not path.resolve().is_relative_to(experiments.resolve()):
        raise SweepError(f"{store} is of page {page!r}, which lies outside of {experiments}: it is not run")
    if varied not in variations:
        raise SweepError(
            f"{store} holds {attributes['name']!r}, a variation of {path}: claims are of the page as it is"
        )
    experiment = variations[varied](path)
    if fingerprint(experiment) != stored_fingerprint(attributes):
        raise SweepError(f"{store} is not of {path} as it is now: run the page again, with --fresh")
    if not experiment.claims:
        raise SweepError(f"{path} makes no claims that {store} could decide: leave it out, or state claims=(...)")
    return experiment


def _write(verdicts: "list[Verdict]", options: Options) -> None:
    """Write the files that are asked for, all or none."""
    from sweep.claims import verdict_tables

    if not options.out:
        return
    known = verdict_tables.merge(verdict_tables.load(options.out), verdicts)
    texts = {options.out: verdict_tables.as_json(known)}
    if options.answers:
        page = verdict_tables.read_page(options.answers)
        texts[options.answers] = verdict_tables.fill(page, known, options.answers.parent)
    verdict_tables.replace_files(texts)


def _show(verdicts: "list[Verdict]") -> None:
    """Print the verdicts of the stores named, each figure below its claim; the other columns need no more room."""
    from sweep.base import tables
    from sweep.claims.verdict_tables import HEAD, verdict_words
    from sweep.cli.terminal import Terminal

    rows = []
    for verdict in verdicts:
        claim, *others = verdict_words(verdict)
        rows.append((f"{claim}\n{verdict.figure}".strip() + "\n", *others))
    tables.print_table(Terminal(highlight=False), HEAD[:-1], rows, text=True, max_widths=MOST)


if __name__ == "__main__":
    run_command(main)
