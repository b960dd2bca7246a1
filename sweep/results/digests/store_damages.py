"""The files of a store compared with their digests."""

from pathlib import Path

from sweep.results.digests.checkpoints import checkpoint_damages
from sweep.results.digests.damage import Damage, found_twice
from sweep.results.digests.layout import layout_damages
from sweep.results.digests.wave_damages import stray_chunks, wave_damages


def file_damages(store: Path) -> list[Damage]:
    """Compare a store with its digests.

    Args:
        store: a store that has digests.

    Returns:
        What is not as it was written, and what is lost. If metadata or coordinates are damaged, only these, since
        nothing else can be read without them.
    """
    return layout_damages(store) or content_damages(store)


def content_damages(store: Path) -> list[Damage]:
    """Compare the chunks of stored waves and the checkpoints with their digests, and find chunks without digests.

    Args:
        store: a store whose metadata and coordinates are not damaged.
    """
    return found_twice(lambda: [*wave_damages(store), *checkpoint_damages(store), *stray_chunks(store)])
