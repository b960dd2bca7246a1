"""The digest itself: of bytes, of files, and of the curves of a wave up to a record.

A digest is the BLAKE2b hash, 16 bytes in hexadecimal.
"""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from sweep.files.safe_files import open_regular

_LENGTH: Final = 16  # bytes of a digest
DIGEST_BYTES: Final = 2 * _LENGTH  # of a digest in hexadecimal
_BLOCK: Final = 2**20  # bytes of a file that are read at a time
_ROWS: Final = 1024  # lanes whose curves are copied at a time


def hash_bytes(content: bytes) -> str:
    """Compute the digest of bytes."""
    return blake2b(content, digest_size=_LENGTH).hexdigest()


def hash_file(path: Path) -> str | None:
    """Compute the digest of a file, None if there is no file.

    Raises:
        OSError: if it is not a regular file, or can't be read.
    """
    try:
        with open_regular(path) as file:
            return hash_rest(file, 0)
    except FileNotFoundError:
        return None


def hash_rest(file: BinaryIO, skip: int, key: bytes = b"") -> str:
    """Compute the digest of an open file without its first bytes.

    Args:
        file: the file.
        skip: number of bytes at its beginning that are left out.
        key: at most 64 bytes that the digest depends on as well.
    """
    file.seek(skip)
    state = blake2b(digest_size=_LENGTH, key=key)
    while block := file.read(_BLOCK):
        state.update(block)
    return state.hexdigest()


def hash_records(arrays: Mapping[str, np.ndarray], counts: Mapping[str, int]) -> str:
    """Compute the digest of what the arrays of a wave hold up to a record.

    Args:
        arrays: by name; the first dimension is the lane, the second is time.
        counts: for each array the number of entries along its second dimension that the digest covers.
    """
    state = blake2b(digest_size=_LENGTH)
    for name in sorted(counts):
        state.update(name.encode())
        for start in range(0, len(arrays[name]), _ROWS):
            part = np.ascontiguousarray(arrays[name][start : start + _ROWS, : counts[name]])
            state.update(part.data.cast("B") if part.size else b"")
    return state.hexdigest()
