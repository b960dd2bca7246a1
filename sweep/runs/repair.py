"""Repairing a damaged store: what can be computed again is rewritten, all else is marked as not run.

Nothing is guessed. Metadata and coordinates are made again from the experiment, and a file is replaced only if the new
one has the digest of the original. A wave with a damaged chunk loses all of its chunks, since its lanes are trained
together; `--resume` trains it again to the same bits.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.files import atomic_files
from sweep.files.locks import Lock
from sweep.files.places import ROOT
from sweep.files.safe_files import remove
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.page.restore import restore
from sweep.results import digests
from sweep.results import store as stores
from sweep.results.checks.attributes import check_provenance
from sweep.results.digests import CHECKPOINT, LAYOUT, Damage
from sweep.runs.layout import lay_out_store
from sweep.runs.planning import plan_sweep
from sweep.runs.provenance import fixed_by

_RUN_AGAIN: Final = "run the page again with --fresh"


def repair(path: Path, lock: Lock, damages: Sequence[Damage], page: Experiment | None) -> None:
    """Repair the damage that `store.damages` has found, as far as possible.

    Args:
        path: the store.
        lock: the store's lock, which the caller holds.
        damages: the damaged files.
        page: the page's experiment, needed if it can't be rebuilt from the store.

    Raises:
        SweepError: if the damage can't be repaired; then nothing is changed.
    """
    lock.check()
    files = {damage.file for damage in damages}
    if f"{digests.FOLDER}/{LAYOUT}" in files:
        _write_layout(path, page)
    elif ROOT in files:
        remove(path / ROOT)
        digests.restore_root(path)
    elif any(damage.lanes is None for damage in damages if not CHECKPOINT.fullmatch(damage.file)):
        _rewrite(path, {damage.file for damage in damages if damage.lanes is None}, page)
    else:
        _mark_not_run(path, lock, damages)
    further = stores.damages(path)  # damage that was hidden by the damage repaired so far
    if further and set(further) != set(damages):
        repair(path, lock, further, page)


def _mark_not_run(path: Path, lock: Lock, damages: Sequence[Damage]) -> None:
    """Mark damaged waves as not run, and remove all checkpoints, which loses little."""
    waves = {damage.lanes for damage in damages if damage.lanes}
    if waves:
        stores.Store(path, lock).set_attributes(complete=False)
    for name in digests.list_checkpoints(path):
        remove(path / name)
    for lanes in sorted(waves):
        digests.forget(path, lanes)


def _rewrite(path: Path, files: set[str], page: Experiment | None) -> None:
    """Rewrite metadata and coordinates, if they come out equal to the original."""
    allowed = digests.known_digests(path)
    with atomic_files.make_folder_beside(path.parent) as folder:
        fresh = _lay_out_again(path, page, folder)
        for file in sorted(files):
            if digests.hash_file(fresh / file) not in allowed[file]:
                raise SweepError(f"{path} can't be repaired: a new {file} differs from the original; {_RUN_AGAIN}")
        for file in sorted(files):
            remove(path / file)
            if (fresh / file).exists():
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                with atomic_files.write_file(path / file) as place:
                    place.write((fresh / file).read_bytes())


def _write_layout(path: Path, page: Experiment | None) -> None:
    """Rewrite the digests of the layout, if all files except the attributes equal those of a newly made store."""
    with atomic_files.make_folder_beside(path.parent) as folder:
        fresh = _lay_out_again(path, page, folder)
        expected = digests.known_digests(fresh)
        for file, digest in expected.items():
            if file != ROOT and digests.hash_file(path / file) not in digest:
                raise SweepError(f"{path} can't be repaired: its digests are lost, {file} may be damaged; {_RUN_AGAIN}")
        shutil.copyfile(path / ROOT, fresh / ROOT)
        digests.accept_root(fresh)  # before it is moved, so that its copy of the attributes is never outdated
        remove(path / digests.FOLDER / LAYOUT)
        (path / digests.FOLDER).mkdir(exist_ok=True)
        os.replace(fresh / digests.FOLDER / LAYOUT, path / digests.FOLDER / LAYOUT)


def _lay_out_again(path: Path, page: Experiment | None, folder: Path) -> Path:
    """Make a new, empty store in `folder` in the same way as this one; metadata and coordinates have equal bits."""
    attributes = stores.read_attributes(path)
    check_provenance(path, attributes)
    if page and (fields := differing_fields(page, attributes)):
        raise SweepError(f"the page {page.name} is not the page of {path}, it differs in {fields}: name another page")
    try:
        experiment = page or restore(json.loads(attributes["experiment"]))
    except SweepError as error:
        raise SweepError(f"{path} can't be repaired without its page, as {error}: name it with --page PAGE") from error
    plan = plan_sweep(experiment, fixed=fixed_by(attributes))
    stores.create(folder / "store", lay_out_store(plan), plan.chunk_lanes, {})
    return folder / "store"
