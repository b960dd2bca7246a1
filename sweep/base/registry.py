"""What is known by name: declared where pages can read it, computed elsewhere, so that declaring it imports nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """The declaration of something that is known by name.

    Args:
        function: what computes it, as "package.module:name".
    """

    function: str

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(module), name)
