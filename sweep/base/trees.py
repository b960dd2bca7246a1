"""Pytrees of arrays as plain data: the path, shape and type of each array, in order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Leaf:
    """One array of a pytree.

    Args:
        path: its keys from the root: names in dictionaries and fields, numbers in lists.
        shape: its shape.
        dtype: name of its type.
    """

    path: tuple[str | int, ...]
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of its entries."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The number of its bytes."""
        return self.size * np.dtype(self.dtype).itemsize

    def name(self) -> str:
        """Give its path as one word: "layer_0.kernel"."""
        return ".".join(map(str, self.path))


def count_entries(leaves: Iterable[Leaf]) -> int:
    """Count the entries of all arrays of a pytree."""
    return sum(leaf.size for leaf in leaves)


def count_bytes(leaves: Iterable[Leaf]) -> int:
    """Count the bytes of all arrays of a pytree."""
    return sum(leaf.bytes for leaf in leaves)


def split(leaves: Sequence[Leaf], row: np.ndarray) -> Iterator[np.ndarray]:
    """Cut a row of numbers into the arrays of a pytree, in order; what follows them is left out.

    Args:
        leaves: the arrays.
        row: of shape (entries,), or of bytes if its type is uint8.
    """
    start = 0
    for leaf in leaves:
        size = leaf.bytes if row.dtype == np.uint8 else leaf.size
        part = np.ascontiguousarray(row[start : start + size])
        yield (part.view(leaf.dtype) if row.dtype == np.uint8 else part).reshape(leaf.shape)
        start += size


def nest(leaves: Sequence[Leaf], arrays: Iterable[Any]) -> Any:
    """Put the arrays of a pytree at their paths: dictionaries, and lists where the keys are numbers."""
    root: dict[Any, Any] = {}
    for leaf, array in zip(leaves, arrays, strict=True):
        node = root
        for key in ("", *leaf.path[:-1]) if leaf.path else ():
            node = node.setdefault(key, {})
        node[leaf.path[-1] if leaf.path else ""] = array
    return _with_lists(root.get("", {}))


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _with_lists(each) for key, each in node.items()}
    are_numbers = bool(inner) and all(isinstance(key, int) for key in inner)
    return [inner[key] for key in sorted(inner)] if are_numbers else inner
