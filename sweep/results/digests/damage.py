"""Damage: one file of a store that is not as it was written; comparing a file with its digest."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.results.digests.hashes import hash_file


@dataclass(frozen=True)
class Damage:
    """One file of a store that is not as it was written.

    Args:
        file: its path relative to the store.
        what: what is wrong with it.
        lanes: place of the first lane of its wave and of the lane after the last one; None for a file that belongs to
            no wave.
    """

    file: str
    what: str
    lanes: tuple[int, int] | None = None


def compare_file(
    store: Path, file: str, known: Sequence[str | None], lanes: tuple[int, int] | None = None
) -> Damage | None:
    """Compare a file with its digest.

    Args:
        store: the store.
        file: its path relative to the store.
        known: the digests that it may have; None is one of them if the file may be missing.
        lanes: those of its wave, see `Damage`.

    Returns:
        What is wrong with it, None if nothing is.
    """
    try:
        digest = hash_file(store / file)
    except OSError as error:
        return Damage(file, f"can't be read ({error.strerror or error})", lanes)
    if digest in known:
        return None
    return Damage(file, "is lost" if digest is None else "is not what was written", lanes)


def found_twice(find: Callable[[], list[Damage]]) -> list[Damage]:
    """Look for damage, and again if there seems to be any: a running process may just have replaced what was read.

    Args:
        find: looks for damage.

    Returns:
        What was found both times.
    """
    found = find()
    again = find() if found else []
    return [damage for damage in found if damage in again]


def size_of(path: Path) -> int:
    """Give the size of a file in bytes, 0 if there is none."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0
