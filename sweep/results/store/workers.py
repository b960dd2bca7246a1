"""A store as a worker sees it that trains some of its waves, for the process that holds the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.base.errors import SweepError
from sweep.files.addresses import is_address, parse_address
from sweep.files.bucket_locks import check_token
from sweep.files.places import ROOT
from sweep.results.digests.folder import FOLDER, LAYOUT
from sweep.results.digests.layout import known_digests
from sweep.results.store.leases import ENDED, Lease
from sweep.results.store.working_copies import copied
from sweep.results.store.writer import Store


@contextmanager
def open_leased(place: str, holder: str, token: str) -> Iterator[Store]:
    """Open a store under a lease within a `with` block.

    Of one in object storage only metadata and coordinates are fetched; `Store.fetch_wave` fetches what there is of a
    wave before it is trained. What is written is published. The process that holds the store fetches the wave, in the
    same way, when it is told that the wave has ended.

    Args:
        place: the store's folder, or its address: `Store.place` of the process that holds it.
        holder: the token of the lock under which that process holds it.
        token: the name of the lease.

    Yields:
        The store.

    Raises:
        SweepError: if there is no store, or if the lease has ended: before anything is written, too.
    """
    if not is_address(place):
        lease = Lease(Path(place), holder, token)
        lease.check()
        yield Store(Path(place), lease)
        return
    with copied(parse_address(place)) as copy:
        copy.fetch([ROOT, f"{FOLDER}/{LAYOUT}"])
        if not (copy.folder / ROOT).is_file():
            raise SweepError(f"there is no store at {place}")
        copy.fetch(known_digests(copy.folder))
        lease = Lease(copy.folder, holder, token)

        def fence() -> None:
            check_token(copy.bucket, holder)
            copy.fetch([ENDED])
            lease.check_own()

        fence()
        with copy.fenced(fence):
            yield Store(copy.folder, lease)
