"""Leases: the right to write into a store that another process holds, for the workers of that process on any host.

Who holds the store gives each worker a lease, and ends it when it gives the worker up: one that was only suspended, or
cut off for a while, notices before it writes. All leases end with the lock of the store.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sweep.base.errors import SweepError
from sweep.files import atomic_files, locks
from sweep.files.bounded_json import parse
from sweep.files.safe_files import read_regular
from sweep.results.store.working_copies import publish

ENDED: Final = "ended-leases.json"
_MOST_BYTES: Final = 2**22


class Lease:
    """The right of one worker to write into a store.

    Args:
        store: the store.
        holder: the token of the lock under which the store is held.
        token: a random name of the lease itself.
    """

    def __init__(self, store: Path, holder: str, token: str) -> None:
        self._store, self._holder, self._token = store, holder, token

    def check(self) -> None:
        """Make sure that the lease has not ended, before its worker writes.

        Raises:
            SweepError: if it has, or if the store is no longer held by the process that gave it.
        """
        if locks.token_of(self._store) != self._holder:
            raise SweepError(f"{self._store} is no longer held by the process that this worker works for")
        self.check_own()

    def check_own(self) -> None:
        """Make sure that the lease itself has not ended, whoever holds the store.

        Raises:
            SweepError: if it has.
        """
        if self._token in _ended(self._store):
            raise SweepError(f"{self._store}: this worker's lease has ended, and its waves run elsewhere")


def write_ended(store: Path, tokens: Iterable[str]) -> None:
    """Add to the leases of a store that have ended.

    Args:
        store: the store, which the caller holds.
        tokens: the names of the leases.
    """
    with atomic_files.write_file(store / ENDED) as file:
        file.write(json.dumps([*_ended(store), *tokens]).encode())
    publish(store, ENDED)


def _ended(store: Path) -> list[str]:
    """List the leases that have ended. A file that is opened anew is the newest one on NFS too."""
    try:
        return list(parse(read_regular(store / ENDED, _MOST_BYTES).decode()))
    except FileNotFoundError:
        return []
