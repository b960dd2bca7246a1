"""Holding a store for one run: locking it, removing what killed runs left, and moving it aside for another store."""

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
from sweep.results.store.refusals import not_a_store_error, unwritable_error

_PARTIAL: Final = re.compile(r".+\.[0-9a-f]{32}\.partial")  # a chunk that Zarr has not finished writing


@contextmanager
def hold(path: Path) -> Iterator[locks.Lock]:
    """Hold a store for one run, within a `with` block, and remove what killed runs left in it.

    Args:
        path: the store.

    Yields:
        The lock; before each write `Store` checks that it is still held.

    Raises:
        SweepError: if another process holds the store, or it can't be written.
    """
    with ExitStack() as held:
        try:
            lock = held.enter_context(locks.lock_folder(path))
        except FileNotFoundError as error:
            raise locks.in_use_error(path) from error  # another run has just moved it away
        except OSError as error:
            raise unwritable_error(path, error) from error
        _remove_leftovers(path)
        yield lock


def _remove_leftovers(path: Path) -> None:
    """Remove unfinished files of killed runs, and a folder in the place of the heartbeat."""
    if (path / HEARTBEAT).is_dir():
        remove(path / HEARTBEAT)
    for folder, _, names in os.walk(path):
        atomic_files.remove_abandoned(Path(folder))
        for name in names:
            if _PARTIAL.fullmatch(name) or locks.is_leftover(name):
                with suppress(OSError):
                    os.unlink(Path(folder, name))


def move_aside(path: Path) -> Path:
    """Rename a store, so that its path is free.

    Args:
        path: the store, which may be damaged.

    Returns:
        The new path.

    Raises:
        SweepError: if the path is not that of a store, or if the store is in use.
    """
    if not exists(path):
        raise locks.in_use_error(path)  # another run has just moved it away
    if not ((path / ROOT).is_file() or has_digests(path)):
        raise not_a_store_error(path)
    with hold(path) as lock:
        aside = _rename(path)
        lock.set_folder(aside)
        return aside


def _rename(path: Path) -> Path:
    """Rename a store to the first free name; return the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside
