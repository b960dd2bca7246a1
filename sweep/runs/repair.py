"""Mending a damaged store: what can be known again is written anew, what can't counts as not run.

Nothing is guessed. Metadata and coordinates are laid out again from the experiment, and a file is taken over only if
it has the digest of the one that was written. A wave with a damaged chunk loses all of its chunks, since its lanes are
trained together, and `--resume` trains it again to the same bits.
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
from sweep.page.experiment import Experiment
from sweep.page.identity import differing_fields
from sweep.page.restore import restore
from sweep.results import digests
from sweep.results import store as stores
from sweep.results.attribute_checks import check_provenance
from sweep.results.digests import CHECKPOINT, LAYOUT, Damage
from sweep.runs.layout import lay_out_store
from sweep.runs.planning import plan_sweep

_ANEW: Final = "run the page again with --fresh"


def repair(path: Path, lock: Lock, found: Sequence[Damage], page: Experiment | None) -> None:
    """Mend what `store.damages` has found, as far as that is possible.

    Args:
        path: the store.
        lock: by which the caller holds it.
        found: its damages.
        page: its page's experiment, for one that can't be made of what the store says of it.

    Raises:
        SweepError: for what can't be mended; nothing is changed then.
    """
    lock.check()
    files = {damage.file for damage in found}
    if f"{digests.FOLDER}/{LAYOUT}" in files:
        _write_layout(path, page)
    elif ROOT in files:
        digests.remove(path / ROOT)
        digests.restore_root(path)
    elif any(damage.lanes is None for damage in found if not CHECKPOINT.fullmatch(damage.file)):
        _take_over(path, {damage.file for damage in found if damage.lanes is None}, page)
    else:
        _forget(path, lock, found)
    further = stores.damages(path)  # what could not be seen before
    if further and set(further) != set(found):
        repair(path, lock, further, page)


def _forget(path: Path, lock: Lock, found: Sequence[Damage]) -> None:
    """Have damaged waves count as not run, and drop all checkpoints: of what is running little is lost."""
    waves = {damage.lanes for damage in found if damage.lanes}
    if waves:
        stores.Store(path, lock).note(complete=False)
    for name in digests.checkpoints(path):
        digests.remove(path / name)
    for lanes in sorted(waves):
        digests.forget(path, lanes)


def _take_over(path: Path, files: set[str], page: Experiment | None) -> None:
    """Write metadata and coordinates anew, those that come out as they were."""
    allowed = digests.known_digests(path)
    assert allowed is not None
    with atomic_files.make_folder_beside(path.parent) as folder:
        again = _laid_out_again(path, page, folder)
        for file in sorted(files):
            if digests.of_file(again / file) not in allowed[file]:
                raise SweepError(f"{path} can't be mended: {file} does not come out as it was written; {_ANEW}")
        for file in sorted(files):
            digests.remove(path / file)
            if (again / file).exists():
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                with atomic_files.write_file(path / file) as place:
                    place.write((again / file).read_bytes())


def _write_layout(path: Path, page: Experiment | None) -> None:
    """Write the digests of the layout anew, if all but the attributes is as the experiment has it laid out again."""
    with atomic_files.make_folder_beside(path.parent) as folder:
        again = _laid_out_again(path, page, folder)
        expected = digests.known_digests(again)
        assert expected is not None
        for file, digest in expected.items():
            if file != ROOT and digests.of_file(path / file) not in digest:
                raise SweepError(f"{path} can't be mended: its digests are lost, and {file} may be damaged; {_ANEW}")
        shutil.copyfile(path / ROOT, again / ROOT)
        digests.accept_root(again)  # before it takes its place, so that its copy of the attributes is never another
        digests.remove(path / digests.FOLDER / LAYOUT)
        (path / digests.FOLDER).mkdir(exist_ok=True)
        os.replace(again / digests.FOLDER / LAYOUT, path / digests.FOLDER / LAYOUT)


def _laid_out_again(path: Path, page: Experiment | None, folder: Path) -> Path:
    """Make a store as this one was made, beside it; its metadata and coordinates are the same to the last bit."""
    attributes = stores.read_attributes(path)
    check_provenance(path, attributes)
    if page and (fields := differing_fields(page, attributes)):
        raise SweepError(f"the page {page.name} is not the page of {path}, it differs in {fields}")
    try:
        experiment = page or restore(json.loads(attributes["experiment"]))
    except SweepError as error:
        raise SweepError(f"{path} can't be mended from what it holds, as {error}: name it with --page PAGE") from error
    begun = json.loads(attributes["plan"])
    plan = plan_sweep(experiment, wave_lanes=begun["wave_lanes"], chunk_lanes=begun["chunk_lanes"])
    stores.create(folder / "store", lay_out_store(plan), plan.chunk_lanes, {})
    return folder / "store"
