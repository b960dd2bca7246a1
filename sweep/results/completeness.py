"""Whether a store holds all results of an experiment, and what is brought up to date where it does."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance

GROWING: Final = ("axes", "epochs")  # fields of a page in which its store may grow


def differing(experiment: Experiment, path: Path) -> str:
    """Name the fields in which an experiment differs from that of a store and that affect numbers; "" if none.

    Raises:
        SweepError: for a store that does not say where its numbers come from.
    """
    attributes = stores.check(path)
    check_provenance(path, attributes)
    return differing_fields(experiment, attributes)


def is_complete(experiment: Experiment, path: Path) -> bool:
    """Tell whether a store holds all results of an experiment.

    Raises:
        SweepError: if it holds another experiment.
    """
    attributes = stores.check(path)
    if fields := differing(experiment, path):
        longer = experiment.epochs >= int(json.loads(attributes["experiment"]).get("epochs", 0))
        may_grow = longer and {*fields.split(", ")} <= {*GROWING}
        grows = "--grow trains what the page has more, " if may_grow else ""
        raise SweepError(
            f"{path} holds another experiment, it differs in {fields}: {grows}--fresh moves it away, --out names "
            f"another place"
        )
    return bool(attributes["complete"])


def update_complete_store(path: Path, described: Mapping[str, str]) -> None:
    """Update the page's attributes in a complete store, and remove what a killed run left there.

    The page may have other figures by now, for example. A read-only store is left unchanged.

    Args:
        path: the store.
        described: the attributes that describe the page now.
    """
    attributes = stores.check(path)
    with suppress(SweepError, OSError), stores.hold(path) as lock:  # taking the lock removes partial files
        store = stores.Store(path, lock)
        if any(attributes.get(name) != text for name, text in described.items()):
            store.set_attributes(**described)
        store.clear()
