"""The folder `digests` of a store: the names of its files, and how they are read and written."""

import json
from pathlib import Path
from typing import Any, Final

from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.files.safe_files import read_regular

FOLDER: Final = "digests"
LAYOUT: Final = "layout.json"
_MOST_BYTES: Final = 2**28  # in a file of digests; one of them also holds a copy of the store's attributes


def has_digests(store: Path) -> bool:
    """Tell whether a store has digests; a store of schema 1 gets them only when a run continues it."""
    return (store / FOLDER).exists()


def wave_file(start: int) -> str:
    """Give the path of the file of a wave's digests, relative to the store.

    Args:
        start: place of the wave's first lane.
    """
    return f"{FOLDER}/wave-{start:010d}.json"


def read_json(path: Path) -> Any:
    """Read a JSON file that may be damaged.

    Raises:
        OSError, ValueError: if it can't be read.
    """
    return parse(read_regular(path, _MOST_BYTES).decode())


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file in one step: it is written under another name and renamed."""
    with atomic_files.write_file(path) as file:
        file.write(json.dumps(content, separators=(",", ":")).encode())


def wave_arrays(store: Path) -> list[str]:
    """Name the arrays that waves fill, as the digests of the layout list them."""
    return read_json(store / FOLDER / LAYOUT)["waves"]
