"""The stores that a command line names: folders, or addresses in object storage, of which the command gets copies."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sweep.files.addresses import is_address, parse_address
from sweep.files.places import parse_path

_copies = ExitStack()
_FOLDERS: Final[dict[str, Path]] = {}  # of copies, by address


@contextmanager
def remove_copies() -> Iterator[None]:
    """Remove at the end of the body the copies that `open_store` has made."""
    with _copies:
        try:
            yield
        finally:
            _FOLDERS.clear()


def open_store(place: str | Path, spare: int = 0) -> Path:
    """Return the folder of a store: its own, or that of a copy, which is kept until the command ends.

    Args:
        place: a path or an address; there need not be a store.
        spare: see `places.parse_path`.

    Raises:
        SweepError: for a place that can't exist, or a bucket that can't be used.
    """
    if not is_address(place):
        return parse_path(place, spare)
    from sweep.results.store import in_folder  # slow to import

    address = str(parse_address(place, spare))
    if address not in _FOLDERS:
        _FOLDERS[address] = _copies.enter_context(in_folder(place, spare))
    return _FOLDERS[address]


def is_copy(store: Path) -> bool:
    """Tell whether a folder is a copy that `open_store` has made."""
    return store in _FOLDERS.values()
