"""Arrays as fields of specs: compared, hashed and described by their content."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np

MOST_CLASSES: Final = 4096  # whole numbers with more distinct values are no classes


class Values:
    """A read-only array.

    Args:
        array: numbers, of any shape.
    """

    def __init__(self, array: Any) -> None:
        self.array = np.array(array, order="C")  # a copy, which nobody else can change
        self.array.flags.writeable = False

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of its type, shape and bytes."""
        head = f"{self.array.dtype.str} {self.array.shape} ".encode()
        return hashlib.sha256(head + self.array.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Compare contents."""
        return self is other or (isinstance(other, Values) and self.digest == other.digest)

    def __hash__(self) -> int:
        """Hash the content."""
        return hash(self.digest)

    def __repr__(self) -> str:
        """Describe it without its numbers."""
        return f"Values({'x'.join(map(str, self.array.shape))} {self.array.dtype})"

    def __deepcopy__(self, _: Any) -> "Values":
        """Return itself: it never changes."""
        return self

    @cached_property
    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """For each column its largest absolute number, and how much it differs: highest minus lowest."""
        columns = self.array.reshape(len(self.array), -1)
        low, high = columns.min(axis=0).astype(float), columns.max(axis=0).astype(float)
        return np.maximum(np.abs(low), np.abs(high)), high - low

    def describe(self) -> dict[str, Any]:
        """Describe it for JSON."""
        shape, dtype = list(self.array.shape), self.array.dtype.str
        described = {"kind": "Values", "sha256": self.digest, "shape": shape, "dtype": dtype}
        if self.array.dtype.kind not in "iu" or self.array.ndim != 1:
            return described
        distinct = np.unique(self.array)
        return described | ({"classes": distinct.tolist()} if len(distinct) <= MOST_CLASSES else {})

    @classmethod
    def of_description(cls, description: Mapping[str, Any]) -> "Values":
        """Make an array of the shape, the type and the classes that are described, without the numbers themselves."""
        dtype, shape = np.dtype(description["dtype"]), tuple(description["shape"])
        if "classes" in description:
            return cls(np.resize(np.array(description["classes"], dtype), shape))
        alternating = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1)) % 2  # of two classes, in any type
        return cls(np.broadcast_to(alternating, shape).astype(dtype))
