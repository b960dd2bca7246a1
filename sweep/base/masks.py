"""A choice among many numbered things as a short text, such as which lanes of a sweep a store was laid out with."""

import zlib
from base64 import b64decode, b64encode

import numpy as np


def write_mask(mask: np.ndarray) -> str:
    """Write a one-dimensional array of bools as text: its bits, eight a byte, compressed by zlib, in base64."""
    return b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def read_mask(text: str, size: int) -> np.ndarray:
    """Read an array of `size` bools.

    Raises:
        ValueError: if the text is of another size, or not what `write_mask` writes.
    """
    wanted, unpacker = -(-size // 8), zlib.decompressobj()
    try:
        packed = unpacker.decompress(b64decode(text, validate=True), wanted + 1)  # not more, whatever the text says
    except zlib.error as error:
        raise ValueError(f"it can't be decompressed: {error}") from error
    if len(packed) != wanted or not unpacker.eof:
        raise ValueError(f"it does not hold {size:,} bits")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=size).astype(bool)
