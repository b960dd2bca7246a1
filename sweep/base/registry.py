"""Declarations of what is known by name: pages read them without importing the code that computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """The declaration of something that is known by name.

    Args:
        function: the function that computes it, as "package.module:name".
    """

    function: str

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(module), name)
