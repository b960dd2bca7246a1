"""Parts: processes that fill one store at the same time, each its share of the waves, and the lock of each.

Who wants the whole store takes the store's lock and then makes sure that no part runs. A part takes its own lock first
and then the store's for a moment, in which no other can begin. So whoever comes second sees the other.
"""

import os
import re
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from sweep.base.errors import SweepError, SweepWarning
from sweep.files import locks
from sweep.files.locks import InUseError, Lock

MOST_PARTS: Final = 100_000
PATIENCE: Final = 30.0  # seconds that a part waits for a lock that others hold for moments
_PAUSE: Final = 0.5  # seconds between two tries
_LOCK: Final = re.compile(r"lock-part-([0-9]{1,9})-of-([0-9]{1,9})(\.json)?")


class Part(NamedTuple):
    """One of several processes that share the waves of a store.

    Args:
        number: which of them, from 1 on.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read a part as the command line has it, such as "3/16".

        Raises:
            SweepError: for anything else.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise SweepError(f"--part takes NUMBER/OF, such as 3/16 for the third of 16 parts, got {text!r}")
        return cls(int(found[1]), int(found[2])).checked()

    def checked(self) -> "Part":
        """Return the part, if there can be such a part.

        Raises:
            SweepError: for anything but whole numbers from 1 on of which the first is not larger than the second.
        """
        whole = all(type(each) is int for each in self)
        if not whole or not 1 <= self.number <= self.of <= MOST_PARTS:
            most = f" of at most {MOST_PARTS:,}" if whole and self.of > MOST_PARTS else ""
            several = self.of if whole and 1 <= self.of <= MOST_PARTS else 16
            raise SweepError(
                f"there is no part {self}: parts are numbered from 1 on{most}, as in 1/{several} to {several}/{several}"
            )
        return self

    def __str__(self) -> str:
        """Return it as the command line has it."""
        return f"{self.number}/{self.of}"

    @property
    def lock(self) -> str:
        """The name of its lock."""
        return f"{locks.LOCK}-part-{self.number}-of-{self.of}"

    @property
    def heartbeat(self) -> str:
        """The name of the file of its heartbeat."""
        return f"heartbeat-part-{self.number}-of-{self.of}.json"


def list_part_locks(path: Path) -> list[str]:
    """List the files of the locks of parts that a store has."""
    return sorted(name for name in os.listdir(path) if _LOCK.fullmatch(name))


def find_living(path: Path, wanted: Callable[[Part], bool]) -> tuple[Part, InUseError] | None:
    """Find a part that runs; from parts that have ended their locks are taken.

    Args:
        path: the store.
        wanted: which parts to look for.

    Returns:
        The first one and the error that names its process, None if no such part runs.
    """
    for name in list_part_locks(path):
        found = _LOCK.fullmatch(name)
        if found and found[3] and wanted(part := Part(int(found[1]), int(found[2]))):
            try:
                locks.evict(path, part.lock)
            except InUseError as error:
                return part, error
    return None


def refuse_living(path: Path) -> None:
    """Refuse a store that a part fills.

    Raises:
        InUseError: naming the part's process.
    """
    if found := find_living(path, lambda part: True):
        raise found[1]


def refuse_other_shares(path: Path, part: Part) -> None:
    """Refuse a part of a store of which other parts fill other shares, since both may have the same wave.

    Raises:
        SweepError: naming one of the others.
    """
    if found := find_living(path, lambda other: other.of != part.of):
        raise SweepError(
            f"{path} is being filled by part {found[0]}, so there is no part {part}: give the same number of parts, "
            f"wait until they end, or name another place with --out"
        )


def take_patiently(held: ExitStack, path: Path, name: str) -> Lock:
    """Take a lock that its holder needs for a moment, or that belongs to a holder that may have ended on another host.

    Args:
        held: holds it.
        path: the store.
        name: the lock's name.

    Raises:
        InUseError: if the holder gave a sign of life meanwhile, or if it runs here and holds the lock for long.
        OSError: if the store can't be written.
    """
    deadline, first, told = time.monotonic() + PATIENCE, locks.sign_of_life(path, name), False
    while True:
        try:
            return held.enter_context(locks.lock_folder(path, name))
        except InUseError as error:
            seen = locks.sign_of_life(path, name)
            if time.monotonic() > deadline and (seen is None or seen != first):
                raise
            if seen is not None and not told:
                warnings.warn(f"waiting, as {str(error).partition(': ')[0]}", SweepWarning, stacklevel=2)
            told = told or seen is not None
            time.sleep(_PAUSE)
