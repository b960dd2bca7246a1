"""Which experiment a command line selects: a page or a variation of it (`--full`, `--smoke`, overrides, `--zoom`)."""

import glob
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import parse_known, parse_pairs
from sweep.cli.optional import OptionalText

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment


@dataclass(frozen=True)
class Selection:
    """An experiment, its store and the attributes of its store.

    Args:
        experiment: the experiment.
        store: by default `results/<page>`. For a variation "@full", "@smoke", "@epochs-500" or
            "@zoom-learning_rate-0.001-0.01-17" is appended, or "@" and a hash if the description is too long, so that
            the page's own store is not touched. If that store does not exist, but one of an older name, with "-" for
            "@", holds the same experiment, that one is taken.
        attributes: `page`, the file as the user named it; `arguments`, a JSON list of the options that change it; and
            for a zoom `parent`, see `zoom.parent_attribute`.
    """

    experiment: "Experiment"
    store: Path
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class ExperimentOptions:
    """The options that select the experiment, except overrides.

    Args:
        page: a Python file that defines `experiment`.
        out: the store, a folder or an address such as s3://bucket/name; by default results/ and the page's name (smoke
            runs, zooms and overrides have their own).
        full: run the full experiment, on pages that scale it down by default.
        smoke: run a small test: the ends of each axis, at most 20 epochs and 5 records, every figure.
        zoom: run more values in a part of the grid, into a separate store: learning_rate=1e-3:1e-2:17 means 17 values
            between these ends, spaced like those of the page; several axes are separated by commas.
    """

    page: tyro.conf.Positional[Path]
    out: OptionalText = None
    full: bool = False
    smoke: bool = False
    zoom: OptionalText = None

    def arguments(self) -> list[str]:
        """Return the options that select a variation of the page."""
        options = [f"--{name}" for name in ("full", "smoke") if getattr(self, name)]
        return options + ([] if self.zoom is None else ["--zoom", self.zoom])


@dataclass(frozen=True)
class PageSource:
    """A page and the options that vary it, from which another process loads the same experiment.

    Args:
        page: the page's file.
        arguments: the options, `--full` and overrides among them.
    """

    page: str
    arguments: tuple[str, ...]

    def load(self) -> "Experiment":
        """Load the experiment.

        Raises:
            SweepError: if it can't be loaded here.
        """
        options, rest = parse_known(ExperimentOptions, [self.page, *self.arguments], "sweep")
        return select_experiment(options, rest, "sweep").experiment


def select_experiment(options: ExperimentOptions, rest: Sequence[str], prog: str) -> Selection:
    """Load the page, apply the options of the command line, and find the store.

    Args:
        options: the options.
        rest: overrides.
        prog: the command, for the help text of overrides.

    Raises:
        SweepError: for a page that can't be loaded, or options that do not fit it.
        SystemExit: with code 0, after `--help`.
    """
    attributes = {"page": options.page.as_posix(), "arguments": json.dumps([*options.arguments(), *rest])}
    from sweep.cli.stores import open_store
    from sweep.files.addresses import is_address
    from sweep.files.places import SPARE

    experiment = _load_variation(options, rest, prog)
    if options.zoom is None:
        return Selection(experiment, open_store(options.out or _find_store(experiment), SPARE), attributes)
    from sweep.page.zoom import parent_attribute, zoom_into

    wanted = parse_pairs("--zoom", options.zoom)
    finer = zoom_into(experiment, wanted)
    store, whole = open_store(options.out or _find_store(finer), SPARE), _find_store(experiment)
    where = whole.as_posix() if is_address(options.out) else os.path.relpath(whole, store)
    parent = parent_attribute(experiment, wanted, where)
    return Selection(finer, store, attributes | {"parent": parent})


def _find_store(experiment: "Experiment") -> Path:
    """Return the default store of an experiment, or one of an older name that holds its results."""
    from sweep.page.load import VARIATION, default_store

    place = default_store(experiment.name)
    page, *varied = experiment.name.split(VARIATION)
    if not varied or place.exists():
        return place
    candidates = sorted(place.parent.glob(f"{glob.escape(Path(page).name)}-*"))
    return next((older for older in candidates if _is_older(older, page, experiment)), place)


def _is_older(store: Path, page: str, experiment: "Experiment") -> bool:
    """Tell whether a folder holds the results of a variation of a page, under an older name with "-" for "@"."""
    from sweep.page.identity import differing_fields
    from sweep.page.load import VARIATION
    from sweep.results.store import check

    try:
        attributes = check(store)
        own = str(attributes["name"]).partition(VARIATION)[0] == page
        return own and not differing_fields(experiment, attributes)
    except (SweepError, KeyError, TypeError, ValueError):  # not a store, or one without a description
        return False


def _load_variation(options: ExperimentOptions, rest: Sequence[str], prog: str) -> "Experiment":
    """Load the page, and apply `--smoke` and overrides."""
    from sweep.cli.overrides import list_changes, override
    from sweep.page.identity import fingerprint
    from sweep.page.load import EXPERIMENT, FULL, VARIATION, describe_changes, load, smoke

    page = load(options.page, FULL if options.full else EXPERIMENT)
    page = smoke(page) if options.smoke else page
    experiment = override(page, rest, prog) if rest else page
    if fingerprint(experiment) != fingerprint(page):
        difference = describe_changes(list_changes(page, experiment), fingerprint(experiment)[:8])
        experiment = replace(experiment, name=f"{page.name}{VARIATION}{difference}")
    return experiment
