"""Holding a store, for one run or for one part; removing what killed runs left; moving a store aside for another."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from sweep.files import atomic_files, locks
from sweep.files.locks import LOCK, Lock
from sweep.files.places import ROOT
from sweep.files.safe_files import exists, remove
from sweep.results.digests.folder import has_digests
from sweep.results.store.heartbeat import list_heartbeats
from sweep.results.store.refusals import not_a_store_error, unwritable_error
from sweep.results.store.sharing import Part, find_living, refuse_living, refuse_other_shares, take_patiently
from sweep.results.store.working_copies import find_copy

_PARTIAL: Final = re.compile(r".+\.[0-9a-f]{32}\.partial")  # a chunk that Zarr has not finished writing


@contextmanager
def hold(path: Path) -> Iterator[Lock]:
    """Hold a store for one run, within a `with` block, and remove what killed runs left in it.

    Args:
        path: the store.

    Yields:
        The lock; before each write `Store` checks that it is still held.

    Raises:
        InUseError: if another process holds the store or a part of it.
        SweepError: if it can't be written.
    """
    with _holding(path, lambda held: held.enter_context(locks.lock_folder(path))) as lock:
        yield lock


@contextmanager
def hold_at_end(path: Path) -> Iterator[Lock]:
    """Hold a store as `hold` does, and wait for parts that begin or end at this moment."""
    with _holding(path, lambda held: take_patiently(held, path, LOCK)) as lock:
        yield lock


@contextmanager
def _holding(path: Path, take: Callable[[ExitStack], Lock]) -> Iterator[Lock]:
    with ExitStack() as held:
        with _naming(path):
            copy = find_copy(path)
            lock = held.enter_context(copy.hold()) if copy else take(held)
            refuse_living(path)
        _remove_leftovers(path)
        yield lock


@contextmanager
def hold_part(path: Path, part: Part) -> Iterator[Lock]:
    """Hold a part of a store, within a `with` block, while other processes may hold the other parts.

    In object storage no other process can: there each part has a store of its own.

    Args:
        path: the store.
        part: the part.

    Yields:
        The lock of the part.

    Raises:
        InUseError: if another process holds this part, or the whole store.
        SweepError: if the store is divided into another number of parts at present, or if it can't be written.
    """
    if copy := find_copy(path):
        with copy.hold() as lock:
            yield lock
        return
    with ExitStack() as held, ExitStack() as moment:
        with _naming(path):
            lock = take_patiently(held, path, part.lock)
            take_patiently(moment, path, LOCK)
            refuse_other_shares(path, part)
            alone = find_living(path, lambda other: other != part) is None
        if alone:
            _remove_leftovers(path)
        moment.close()
        yield lock


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the store in errors of its file system."""
    try:
        yield
    except FileNotFoundError as error:
        raise locks.in_use_error(path) from error  # another run has just moved it away
    except OSError as error:
        raise unwritable_error(path, error) from error


def _remove_leftovers(path: Path) -> None:
    """Remove unfinished files of killed runs, and folders in the place of heartbeats."""
    for name in list_heartbeats(path):
        if (path / name).is_dir():
            remove(path / name)
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
