"""A store held by one run: under a lock, freed of what killed runs left, and moved aside for another store."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from sweep.files import atomic_files, locks
from sweep.files.places import ROOT
from sweep.files.safe_files import exists, remove
from sweep.results.digests.folder import has_digests
from sweep.results.store.heartbeat import HEARTBEAT
from sweep.results.store.refusals import not_a_store, unwritable

_PARTIAL: Final = re.compile(r".+\.[0-9a-f]{32}\.partial")  # a chunk that Zarr has not finished writing


@contextmanager
def hold(path: Path) -> Iterator[locks.Lock]:
    """Hold a store for one run, within a `with` block, and remove what killed runs left in it.

    Args:
        path: the store.

    Yields:
        The lock; `Store` asks it before each write whether it is still held.

    Raises:
        SweepError: if another process holds the store, or it can't be written.
    """
    with ExitStack() as held:
        try:
            lock = held.enter_context(locks.lock_folder(path))
        except FileNotFoundError as error:
            raise locks.in_use_error(path) from error  # another run has just moved it away
        except OSError as error:
            raise unwritable(path, error) from error
        _remove_leftovers(path)
        yield lock


def _remove_leftovers(path: Path) -> None:
    """Remove unfinished files of killed runs, and a folder that is in the way of the heartbeat."""
    if (path / HEARTBEAT).is_dir():
        remove(path / HEARTBEAT)
    for folder, _, names in os.walk(path):
        atomic_files.remove_abandoned(Path(folder))
        for name in names:
            if _PARTIAL.fullmatch(name) or locks.is_leftover(name):
                with suppress(OSError):
                    os.unlink(Path(folder, name))


def move_aside(path: Path) -> Path:
    """Give a store another name, so that its place is free.

    Args:
        path: the store.

    Returns:
        The new path.

    Raises:
        SweepError: for a path that holds something else than a store, damaged or not, or a store in use.
    """
    if not exists(path):
        raise locks.in_use_error(path)  # another run has just moved it away
    if not ((path / ROOT).is_file() or has_digests(path)):
        raise not_a_store(path)
    with hold(path) as lock:
        aside = _rename(path)
        lock.set_folder(aside)
        return aside


def _rename(path: Path) -> Path:
    """Rename a store to the first name that is free; returns the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside
