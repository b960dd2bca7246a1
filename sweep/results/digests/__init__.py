"""Digests of the files of a store, by path, so that a damaged, lost or swapped file is noticed.

The folder `digests` of a store holds two kinds of files: `layout.json` for metadata and coordinates, see `layout`, and
`wave-<start>.json` for each wave, see `waves`. The digest None stands for a chunk without a file: Zarr does not write a
chunk in which all values equal the fill value.

Imports `base`, `files` and `results.checks`. Code outside of `results` imports what is listed here.
"""

from sweep.results.digests.checkpoints import CHECKPOINT, checkpoint_file, list_checkpoints
from sweep.results.digests.damage import Damage
from sweep.results.digests.folder import FOLDER, LAYOUT
from sweep.results.digests.hashes import hash_bytes, hash_file
from sweep.results.digests.layout import accept_root, known_digests, replace_root, restore_root
from sweep.results.digests.waves import forget

__all__ = [
    "CHECKPOINT",
    "FOLDER",
    "LAYOUT",
    "Damage",
    "accept_root",
    "checkpoint_file",
    "forget",
    "hash_bytes",
    "hash_file",
    "known_digests",
    "list_checkpoints",
    "replace_root",
    "restore_root",
]
