"""A store: a Zarr hierarchy that is laid out through xarray, and filled chunk by chunk while a sweep runs.

Zarr does not write a chunk that equals the fill value, so a missing chunk alone says nothing. `status` says which lanes
have ended, and the digests say what was written. Beside the arrays there are a checkpoint for each running wave, and a
heartbeat that says what the run has executed so far, one for each process that fills a part. Each of these files is
replaced in one step, and removed when the sweep is complete.

Imports `base`, `files`, `results.checks` and `results.digests`. Code outside of `results` imports what is listed here.
"""

from sweep.results.digests.folder import has_digests
from sweep.results.store.creation import create, put_in_place
from sweep.results.store.heartbeat import HEARTBEAT
from sweep.results.store.leases import Lease
from sweep.results.store.locking import hold, hold_at_end, hold_part, move_aside
from sweep.results.store.older_stores import add_digests
from sweep.results.store.reading import read
from sweep.results.store.refusals import blame_store
from sweep.results.store.sharing import Part, find_living
from sweep.results.store.verification import check, damages, read_attributes, verify
from sweep.results.store.workers import open_leased
from sweep.results.store.working_copies import find_copy, in_folder
from sweep.results.store.writer import Store

__all__ = [
    "HEARTBEAT",
    "Lease",
    "Part",
    "Store",
    "add_digests",
    "blame_store",
    "check",
    "create",
    "damages",
    "find_copy",
    "find_living",
    "has_digests",
    "hold",
    "hold_at_end",
    "hold_part",
    "in_folder",
    "move_aside",
    "open_leased",
    "put_in_place",
    "read",
    "read_attributes",
    "verify",
]
