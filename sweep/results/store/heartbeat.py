"""The heartbeat of a store: what its run has executed so far, in a file that is replaced in one step."""

import json
from pathlib import Path
from typing import Any, Final

from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.files.safe_files import read_regular
from sweep.results.checks.attributes import check_attributes
from sweep.results.digests.hashes import hash_bytes

HEARTBEAT: Final = "heartbeat.json"
MOST_HEARTBEAT_BYTES: Final = 2**16


def write_heartbeat(store: Path, counts: dict[str, Any]) -> None:
    """Replace the heartbeat.

    Args:
        store: the store.
        counts: what has been executed so far, by the names of attributes.
    """
    with atomic_files.write_file(store / HEARTBEAT) as file:
        file.write(json.dumps(counts | {"digest": _digest(counts)}).encode())


def read_heartbeat(store: Path) -> dict[str, Any]:
    """Read the heartbeat; empty if there is none, or if it is not as it was written."""
    try:
        counts = dict(parse(read_regular(store / HEARTBEAT, MOST_HEARTBEAT_BYTES).decode()))
        intact = counts.pop("digest") == _digest(counts)
        check_attributes(counts)
        return counts if intact else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _digest(counts: dict[str, Any]) -> str:
    return hash_bytes(json.dumps(counts).encode())
