"""The functions of figures by name: each takes labelled results and options, and gives a matplotlib figure or a film.

Which figures there are, and where their functions lie, stands in `page.specs.figure`.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

from sweep.page.specs.figure import KINDS


class _Functions(Mapping[str, Callable[..., Any]]):
    """Functions that are imported when they are asked for.

    Args:
        moves: whether they make films.
    """

    def __init__(self, *, moves: bool) -> None:
        self._names = [name for name, kind in KINDS.items() if kind.moves == moves]

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """Import a function."""
        if name not in self._names:
            raise KeyError(name)
        return function_of(name)

    def __iter__(self) -> Iterator[str]:
        """List the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count them."""
        return len(self._names)


def function_of(name: str) -> Callable[..., Any]:
    """Give the function that draws a figure.

    Args:
        name: one of `KINDS`.
    """
    return getattr(import_module(f"sweep.plots.figures.{KINDS[name].module}"), name)


FIGURES: Final = _Functions(moves=False)
FILMS: Final = _Functions(moves=True)
