"""Checkpoints: the files from which incomplete waves continue; each begins with its own digest.

The digest depends on the store too, so that the checkpoint of another store is noticed. Checkpoints of before that have
a digest of their content alone, which still counts.
"""

import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from sweep.files import atomic_files
from sweep.files.safe_files import load_arrays, open_regular
from sweep.results.digests.damage import Damage
from sweep.results.digests.hashes import DIGEST_BYTES, hash_bytes, hash_rest
from sweep.results.digests.layout import root_attributes
from sweep.results.digests.waves import running_waves

SINGLE_CHECKPOINT: Final = "checkpoint"  # of older stores, which had one for all waves
CHECKPOINT: Final = re.compile(rf"{SINGLE_CHECKPOINT}(-[0-9]{{10}})?")
MOST_CHECKPOINT_BYTES: Final = 2**40


def checkpoint_file(start: int) -> str:
    """Give the path of a wave's checkpoint, relative to the store.

    Args:
        start: place of the wave's first lane.
    """
    return f"{SINGLE_CHECKPOINT}-{start:010d}"


def list_checkpoints(store: Path) -> list[str]:
    """List the checkpoints that a store has."""
    return sorted(name for name in os.listdir(store) if CHECKPOINT.fullmatch(name))


def used_checkpoints(store: Path) -> set[str]:
    """Name the checkpoints of running waves; no others are needed."""
    return {checkpoint_file(wave.start) for wave in running_waves(store)}


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], key: bytes) -> None:
    """Replace a checkpoint: its digest, followed by the arrays.

    Args:
        path: the file.
        arrays: by name.
        key: that of the store, see `key_of`.
    """
    with atomic_files.write_file(path) as file:
        file.write(bytes(DIGEST_BYTES))
        np.savez(file, allow_pickle=False, **arrays)
        digest = hash_rest(file, DIGEST_BYTES, key)
        file.seek(0)
        file.write(digest.encode())


def key_of(attributes: Mapping[str, Any]) -> bytes:
    """Return what tells a store from all others: a hash of its page's fingerprint and of when it was created.

    Args:
        attributes: those of the store; these two never change.
    """
    return hash_bytes(f"{attributes.get('fingerprint')} {attributes.get('created')}".encode()).encode()


def read_checkpoint(path: Path) -> dict[str, np.ndarray] | None:
    """Read the arrays of a checkpoint, without comparing its digest.

    Returns:
        Arrays by name, None if there is no checkpoint that can be read.
    """
    with suppress(FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return load_arrays(path, MOST_CHECKPOINT_BYTES, DIGEST_BYTES)
    return None


def checkpoint_damages(store: Path) -> list[Damage]:
    """Compare the checkpoints of running waves, and that of an older store, with the digests at their beginning."""
    attributes = root_attributes(store)
    if attributes.get("complete"):
        return []
    used, keys = {*used_checkpoints(store), SINGLE_CHECKPOINT}, (key_of(attributes), b"")
    return [damage for name in list_checkpoints(store) if name in used and (damage := _compare(store, name, keys))]


def _compare(store: Path, name: str, keys: Iterable[bytes]) -> Damage | None:
    """Compare one checkpoint, whose digest may have any of these keys.

    The file is opened only once, since a run in progress may replace it meanwhile.
    """
    try:
        with open_regular(store / name) as file:
            if os.fstat(file.fileno()).st_size > MOST_CHECKPOINT_BYTES:
                return Damage(name, "is larger than a checkpoint can be")
            digest = file.read(DIGEST_BYTES).decode(errors="replace")
            intact = any(digest == hash_rest(file, DIGEST_BYTES, key) for key in keys)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Damage(name, f"can't be read ({error.strerror or error})")
    return None if intact else Damage(name, "is not what was written")
