"""The heartbeat of a store: what its run has executed so far, in a file that is replaced in one step.

Of several processes that fill one store each has a heartbeat of its own.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

from sweep.files import atomic_files
from sweep.files.bounded_json import parse
from sweep.files.safe_files import read_regular
from sweep.results.checks.attributes import check_attributes
from sweep.results.digests.hashes import hash_bytes

HEARTBEAT: Final = "heartbeat.json"
_HEARTBEAT: Final = re.compile(r"heartbeat(-[a-z0-9-]+)?\.json")
MOST_HEARTBEAT_BYTES: Final = 2**16


def list_heartbeats(store: Path) -> list[str]:
    """List the heartbeats that a store has."""
    return sorted(name for name in os.listdir(store) if _HEARTBEAT.fullmatch(name))


def write_heartbeat(store: Path, counts: dict[str, Any], name: str = HEARTBEAT) -> None:
    """Replace a heartbeat.

    Args:
        store: the store.
        counts: what has been executed so far, by the names of attributes.
        name: the file's name.
    """
    with atomic_files.write_file(store / name) as file:
        file.write(json.dumps(counts | {"digest": _digest(counts)}).encode())


def read_heartbeat(store: Path, name: str = HEARTBEAT) -> dict[str, Any]:
    """Read a heartbeat; empty if there is none, or if it is not as it was written."""
    try:
        counts = dict(parse(read_regular(store / name, MOST_HEARTBEAT_BYTES).decode()))
        intact = counts.pop("digest") == _digest(counts)
        check_attributes(counts)
        return counts if intact else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _digest(counts: dict[str, Any]) -> str:
    return hash_bytes(json.dumps(counts).encode())
