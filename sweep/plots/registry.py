"""The functions of figures by name: each takes labelled results and options, and returns a matplotlib figure or a film.

`page.specs.figure` declares the figures and the modules of their functions.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sweep.page.specs.figure import KINDS


class _Functions(Mapping[str, Callable[..., Any]]):
    """Functions that are imported when they are looked up.

    Args:
        is_film: whether they make films.
    """

    def __init__(self, *, is_film: bool) -> None:
        self._names = [name for name, kind in KINDS.items() if kind.is_film == is_film]

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """Import a function."""
        if name not in self._names:
            raise KeyError(name)
        return KINDS[name].load()

    def __iter__(self) -> Iterator[str]:
        """List the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count them."""
        return len(self._names)


FIGURES: Final = _Functions(is_film=False)
FILMS: Final = _Functions(is_film=True)
