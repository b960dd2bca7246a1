"""Checks that a store exists, that `sweep` could have written it, and that it holds what was written."""

import os
from pathlib import Path
from typing import Any

from sweep.base.errors import SweepError
from sweep.base.labels import READABLE, SCHEMA, UNDIGESTED
from sweep.files.places import ROOT
from sweep.files.safe_files import exists
from sweep.results.checks.attributes import read_root
from sweep.results.checks.hierarchy import check_store
from sweep.results.digests.curve_records import running_damages
from sweep.results.digests.damage import Damage
from sweep.results.digests.folder import has_digests
from sweep.results.digests.layout import layout_damages, root_damages
from sweep.results.digests.store_damages import content_damages, file_damages
from sweep.results.store.refusals import blame_store, not_a_store_error, refuse_damages

Meta = dict[str, Any]


def read_attributes(path: Path) -> Meta:
    """Read a store's attributes, whatever is wrong with the rest of it.

    Args:
        path: the store.

    Raises:
        SweepError: if there is no store, if its root can't be read or is damaged, or if it is of another schema.
    """
    if not path.exists():
        raise SweepError(f"no store at {path}: run the page first, or name another store")
    if not exists(path / ROOT) and not has_digests(path):
        raise not_a_store_error(path)
    try:
        attributes = read_root(path)
    except SweepError:
        _refuse_damaged_root(path)  # this error names the command that repairs it
        raise
    if attributes.get("schema", SCHEMA) not in READABLE:  # checked first: digests of another schema may differ in form
        raise SweepError(
            f"{path} has schema {attributes['schema']}, this version reads {' and '.join(map(str, READABLE))}: "
            f"use the version of sweep that wrote it, or run the page again with --fresh"
        )
    _refuse_damaged_root(path)
    if not {"schema", "arrays", "dimensions"} <= set(attributes):
        raise SweepError(f"{path} is not a store of sweep: it states no schema or no arrays; name another place")
    return attributes


def _refuse_damaged_root(path: Path) -> None:
    if has_digests(path):
        refuse_damages(path, root_damages(path))


def check(path: Path) -> Meta:
    """Read a store's attributes, and make sure that `sweep` could have written the store; chunks are not read.

    Args:
        path: the store.

    Raises:
        SweepError: as `read_attributes`, and for anything that `sweep` does not write.
    """
    attributes = read_attributes(path)
    try:
        check_store(path, attributes)
    except SweepError:
        if has_digests(path):  # they tell whether the store was damaged, or was never one of sweep
            refuse_damages(path, file_damages(path))
        raise
    return attributes


def verify(path: Path) -> None:
    """Make sure that a store holds what was written.

    Args:
        path: the store.

    Raises:
        SweepError: if there is no store, or if it is damaged. In a store without digests only missing arrays are
            noticed, and a warning says so when it is read.
    """
    attributes = read_attributes(path)
    if not has_digests(path):
        check_store(path, attributes)
        if attributes["schema"] not in UNDIGESTED:
            raise SweepError(f"{path} is damaged: its digests are lost; run the page again with --fresh")
        return
    with blame_store(path):
        _refuse_linked_folders(path)
        refuse_damages(path, file_damages(path))
        check_store(path, attributes)
        refuse_damages(path, running_damages(path))


def damages(path: Path) -> list[Damage]:
    """Compare a store with its digests: all that is stored, and what running waves held at their last checkpoint.

    Args:
        path: a store that has digests.

    Returns:
        What is damaged. If metadata or coordinates are, only these, since nothing else can be read without them.

    Raises:
        SweepError: for a store that contains links, or that `sweep` can't have written even though its digests fit.
    """
    with blame_store(path):
        _refuse_linked_folders(path)
        if found := layout_damages(path):
            return found
        found = content_damages(path)
        if not found:
            check_store(path, read_attributes(path))
        return [*found, *running_damages(path)]


def _refuse_linked_folders(path: Path) -> None:
    """Refuse a store in which a folder is a link, before anything behind the link is read or repaired."""
    for folder, folders, _ in os.walk(path):
        if linked := [name for name in folders if Path(folder, name).is_symlink()]:
            raise SweepError(f"{path} is refused: {Path(folder, linked[0])} is a link and not a folder: remove it")
