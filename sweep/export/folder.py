"""The folder that an export makes: what it holds stands in a file, by which it is known again."""

import json
from pathlib import Path
from typing import Any, Final

import xarray as xr

from sweep.files.bounded_json import parse

MANIFEST: Final = "sweep-export.json"
MAKER: Final = "sweep.export"


def describe(folder: Path, ds: xr.Dataset, kind: str, **more: Any) -> None:
    """Write down what a folder of an export holds.

    Args:
        folder: with all its files.
        ds: the results.
        kind: the format.
        more: what else is to be known of the files, such as units of columns.
    """
    told = {name: ds.attrs[name] for name in ("name", "question", "fingerprint", "created") if name in ds.attrs}
    holds = sorted(entry.name for entry in folder.iterdir())
    text = json.dumps({"made_by": MAKER, "format": kind, "results": told, "holds": holds} | more, indent=1)
    (folder / MANIFEST).write_text(text + "\n")


def is_ours(folder: Path) -> bool:
    """Tell whether a folder is an export, and holds nothing else.

    Raises:
        OSError: where it has no description.
        ValueError: where that is no JSON.
    """
    told = parse((folder / MANIFEST).read_text())
    here = {entry.name for entry in folder.iterdir()}
    return isinstance(told, dict) and told.get("made_by") == MAKER and here <= {*told.get("holds", ()), MANIFEST}
