"""Decide the claims of pages by the results in their stores, without JAX: `python -m sweep.claims STORE...`."""

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
Variations = Mapping[str, Callable[[Path], Experiment]]  # how to load a page, by the suffix of its name
WIDTHS: Final = {"said by": 5, "criterion": 12, "measured, 95% interval": 14, "seeds": 8, "verdict": 9}  # characters
WRITTEN: Final[Variations] = {"": load, FULL: lambda path: load(path, FULL)}  # variations whose verdicts may be written
SHOWN: Final[Variations] = {**WRITTEN, "smoke": lambda path: smoke(load(path))}


@dataclass(frozen=True)
class Options:
    """Decide what pages claim, by the results in their stores.

    Args:
        stores: complete stores that `python -m sweep.run` wrote.
        out: write all verdicts to this JSON file; verdicts in it on claims of other stores are kept.
        answers: write tables of all verdicts in --out into this Markdown file, between <!-- claims 001 --> and
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
    """Decide the claims, write the requested files, and print the verdicts."""
    options = parse(Options, args, PROG)
    if not options.stores:
        raise SweepError(f"no store named: {PROG} results/PAGE [options]")
    if options.answers and not options.out:
        raise SweepError("--answers shows the verdicts of all stores: name the JSON file that holds them with --out")
    verdicts = _judge_all(options.stores, options.experiments, WRITTEN if options.out else SHOWN)
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
                    f"or give the claims different ids"
                )
            origin[verdict.id] = store
            verdicts.append(verdict)
    return verdicts


def judge_store(store: Path, experiments: Path, variations: Variations) -> "Iterator[Verdict]":
    """Decide the claims of one store's page.

    Args:
        store: a complete store.
        experiments: the folder of the pages.
        variations: the variations of a page that are allowed.

    Raises:
        SweepError: for a folder that is not a store, for a store that is incomplete or not of the page as it is now,
            for a page without claims, and for a measure that raises or returns no values over seeds.
    """
    from sweep.claims.verdicts import judge
    from sweep.results.dataset import open_results  # slow to import, as the one above, and `--help` needs neither

    ds = open_results(store)
    page = _load_page(store, ds.attrs, experiments, variations)
    return (judge(claim, ds, page.name) for claim in page.claims)


def _load_page(store: Path, attributes: Mapping[Any, Any], experiments: Path, variations: Variations) -> Experiment:
    """Load the page of a store in the variation that was run, and check that the store holds all of its results.

    Loading a page executes the user's own file, as `sweep.run` does. The store only says which page in the folder it
    is of. So its name must not lead out of that folder by "..", by an absolute path or by a link (`results.checks`
    refuses such a name too); and neither claims nor measures of the page are used unless its fingerprint is the
    store's.
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
        raise SweepError(
            f"{store} is of page {page!r}, which lies outside of {experiments} and is not loaded: "
            "name its folder with --experiments"
        )
    if varied not in variations:
        raise SweepError(
            f"{store} holds {attributes['name']!r}, a variation of {path}: "
            "claims are decided by the page itself, so name its store"
        )
    experiment = variations[varied](path)
    if fingerprint(experiment) != stored_fingerprint(attributes):
        raise SweepError(f"{store} is not of {path} as it is now: run the page again, with --fresh")
    if not experiment.claims:
        raise SweepError(f"{path} has no claims that {store} could decide: leave it out, or state claims=(...)")
    return experiment


def _write(verdicts: "list[Verdict]", options: Options) -> None:
    """Write all requested files, or none."""
    from sweep.claims import verdict_tables

    if not options.out:
        return
    known = verdict_tables.merge(verdict_tables.load(options.out), verdicts)
    texts = {options.out: verdict_tables.format_json(known)}
    if options.answers:
        answers = verdict_tables.read_answers(options.answers)
        texts[options.answers] = verdict_tables.fill_tables(answers, known, options.answers.parent)
    verdict_tables.replace_files(texts)


def _show(verdicts: "list[Verdict]") -> None:
    """Print the verdicts of the stores given, each figure below its claim."""
    from sweep.base import tables
    from sweep.claims.verdict_tables import HEADER, verdict_words
    from sweep.cli.terminal import Terminal

    rows = []
    for verdict in verdicts:
        claim, *others = verdict_words(verdict)
        rows.append((f"{claim}\n{verdict.figure}".strip() + "\n", *others))
    tables.print_table(Terminal(highlight=False), HEADER[:-1], rows, text=True, max_widths=WIDTHS)


if __name__ == "__main__":
    run_command(main)
