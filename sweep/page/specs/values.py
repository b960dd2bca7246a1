"""Arrays as fields of specs: compared, hashed and described by their content."""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np


class Values:
    """A read-only array.

    Args:
        array: numbers, of any shape.
    """

    def __init__(self, array: Any) -> None:
        self.array = np.ascontiguousarray(array)
        if self.array is array:  # a view, so that the caller's array stays writable
            self.array = self.array.view()
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

    def describe(self) -> dict[str, Any]:
        """Describe it for JSON."""
        return {
            "kind": "Values", "sha256": self.digest, "shape": list(self.array.shape), "dtype": self.array.dtype.str
        }  # fmt: skip
