"""Which experiment a command line means: a page, in full or as a toy, with overrides, or a part of it run finer."""

import glob
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sweep.base.errors import SweepError
from sweep.cli.command import pairs

if TYPE_CHECKING:
    from sweep.page.experiment import Experiment


@dataclass(frozen=True)
class Chosen:
    """An experiment, and where it is kept.

    Args:
        experiment: the experiment.
        store: by default `results/<page>`, with "@full", "@smoke", "@epochs-500" or "@zoom-learning_rate-0.001-0.01-17"
            behind it for such a variation, or "@" and a short hash for one of many words, so that the store of the page
            as it is stays as it is. Where that place is free and an older one, with "-" for "@", holds the results of
            the same experiment, that one.
        attributes: what the store says of how it came about: `page`, the file as it was named; `arguments`, a JSON
            list of those that stand behind it; and where it is a part of another `parent`, see `zoom.told`.
    """

    experiment: "Experiment"
    store: Path
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Choice:
    """What of a command line chooses the experiment, beside overrides.

    Args:
        page: a Python file that defines `experiment`.
        out: the store; by default results/ and the page's name (smoke runs, zooms and overrides get their own).
        full: the question as it was asked, on pages that scale it down by default.
        smoke: toy size: the ends of each axis, at most 20 epochs and 5 records, every figure.
        zoom: run a rectangle of the grid finer, with a store of its own: learning_rate=1e-3:1e-2:17 are 17 values
            between these ends, spaced as the page's are; several axes with commas between them.
    """

    page: tyro.conf.Positional[Path]
    out: Path | None = None
    full: bool = False
    smoke: bool = False
    zoom: str | None = None

    def arguments(self) -> list[str]:
        """Give the options that say which variation of the page this is."""
        options = [f"--{name}" for name in ("full", "smoke") if getattr(self, name)]
        return options + ([] if self.zoom is None else ["--zoom", self.zoom])


def chosen(choice: Choice, rest: Sequence[str], prog: str) -> Chosen:
    """Load the page, apply what the command line asks for, and choose the store.

    Args:
        choice: the options.
        rest: overrides.
        prog: the command, for the help of overrides.

    Raises:
        SweepError: for a page that can't be loaded, or what does not fit it.
        SystemExit: with code 0, after `--help`.
    """
    attributes = {"page": choice.page.as_posix(), "arguments": json.dumps([*choice.arguments(), *rest])}
    from sweep.files.places import SPARE, parse_path

    experiment = _load_varied(choice, rest, prog)
    if choice.zoom is None:
        return Chosen(experiment, parse_path(choice.out or _place(experiment), SPARE), attributes)
    from sweep.page.zoom import parent_attribute, zoom_into

    wanted = pairs("--zoom", choice.zoom)
    finer = zoom_into(experiment, wanted)
    store = parse_path(choice.out or _place(finer), SPARE)
    parent = parent_attribute(experiment, wanted, os.path.relpath(_place(experiment), store))
    return Chosen(finer, store, attributes | {"parent": parent})


def _place(experiment: "Experiment") -> Path:
    """Give the store of an experiment that is given no other: its place, or an older one that holds its results."""
    from sweep.page.load import VARIATION, default_store

    place = default_store(experiment.name)
    page, *varied = experiment.name.split(VARIATION)
    if not varied or place.exists():
        return place
    candidates = sorted(place.parent.glob(f"{glob.escape(Path(page).name)}-*"))
    return next((older for older in candidates if _is_older(older, page, experiment)), place)


def _is_older(store: Path, page: str, experiment: "Experiment") -> bool:
    """Tell whether a folder holds the results of a variation of a page, stored when their names had "-" for "@"."""
    from sweep.page.identity import differing_fields
    from sweep.page.load import VARIATION
    from sweep.results.store import check

    try:
        attributes = check(store)
        own = str(attributes["name"]).partition(VARIATION)[0] == page
        return own and not differing_fields(experiment, attributes)
    except (SweepError, KeyError, TypeError, ValueError):  # no store of ours, or none that says what it is
        return False


def _load_varied(choice: Choice, rest: Sequence[str], prog: str) -> "Experiment":
    """Load the page, and apply `--smoke` and overrides."""
    from sweep.cli.overrides import list_changes, override
    from sweep.page.identity import fingerprint
    from sweep.page.load import EXPERIMENT, FULL, VARIATION, describe_changes, load, smoke

    page = load(choice.page, FULL if choice.full else EXPERIMENT)
    page = smoke(page) if choice.smoke else page
    experiment = override(page, rest, prog) if rest else page
    if fingerprint(experiment) != fingerprint(page):
        told = describe_changes(list_changes(page, experiment), fingerprint(experiment)[:8])
        experiment = replace(experiment, name=f"{page.name}{VARIATION}{told}")
    return experiment
