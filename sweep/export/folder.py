"""The folder of an export: a manifest lists what it holds, by which a later export recognises it."""

import json
from pathlib import Path
from typing import Any, Final

import xarray as xr

from sweep.files.bounded_json import parse

MANIFEST: Final = "sweep-export.json"
MAKER: Final = "sweep.export"


def write_manifest(folder: Path, ds: xr.Dataset, kind: str, **more: Any) -> None:
    """Write the manifest of an export's folder.

    Args:
        folder: the folder, with all its files in it.
        ds: the results.
        kind: the format.
        more: further entries on the files, such as units of columns.
    """
    results = {name: ds.attrs[name] for name in ("name", "question", "fingerprint", "created") if name in ds.attrs}
    holds = sorted(entry.name for entry in folder.iterdir())
    text = json.dumps({"made_by": MAKER, "format": kind, "results": results, "holds": holds} | more, indent=1)
    (folder / MANIFEST).write_text(text + "\n")


def is_export(folder: Path) -> bool:
    """Tell whether a folder is an export, and holds nothing else.

    Raises:
        OSError: if it has no manifest.
        ValueError: if the manifest is not JSON.
    """
    manifest = parse((folder / MANIFEST).read_text())
    found = {entry.name for entry in folder.iterdir()}
    return (
        isinstance(manifest, dict)
        and manifest.get("made_by") == MAKER
        and found <= {*manifest.get("holds", ()), MANIFEST}
    )
