"""Which experiment a command line means: a page, in full or as a toy, with overrides, or a part of it run finer."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sweep.cli import pairs

if TYPE_CHECKING:
    from sweep.experiment import Experiment


@dataclass(frozen=True)
class Chosen:
    """An experiment, and where it is kept.

    Args:
        experiment: the experiment.
        store: by default `results/<page>`, with "-full", "-smoke", "-zoom-" and a hash for such runs and a short hash
            where overrides change numbers, so that the store of the page as it is stays as it is.
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
    from sweep.pages import store_of

    experiment = _varied(choice, rest, prog)
    if choice.zoom is None:
        return Chosen(experiment, choice.out or store_of(experiment.name), attributes)
    from sweep.zoom import told, zoomed

    wanted = pairs("--zoom", choice.zoom)
    finer = zoomed(experiment, wanted)
    store = choice.out or store_of(finer.name)
    parent = told(experiment, wanted, os.path.relpath(store_of(experiment.name), store))
    return Chosen(finer, store, attributes | {"parent": parent})


def _varied(choice: Choice, rest: Sequence[str], prog: str) -> "Experiment":
    """Load the page, and apply `--smoke` and overrides."""
    from sweep.identity import fingerprint
    from sweep.overrides import override
    from sweep.pages import EXPERIMENT, FULL, VARIED, load, smoke

    page = load(choice.page, FULL if choice.full else EXPERIMENT)
    page = smoke(page) if choice.smoke else page
    experiment = override(page, rest, prog) if rest else page
    if fingerprint(experiment) != fingerprint(page):
        experiment = replace(experiment, name=f"{page.name}{VARIED}{fingerprint(experiment)[:8]}")
    return experiment
