"""The attributes of a store: read up to a maximal size, and checked for type, length and form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.files.bounded_json import parse
from sweep.files.places import ROOT
from sweep.files.safe_files import read_regular
from sweep.results.checks.scalars import MOST_NAME_LETTERS, check_text, is_amount, is_whole_number, require
from sweep.results.checks.structured import (
    MOST_HASH_LETTERS,
    MOST_PATH_LETTERS,
    MOST_WORD_LETTERS,
    check_structured,
)

MOST_ROOT_BYTES: Final = 2**26  # of the file that holds a store's attributes
MOST_ATTRIBUTES: Final = 200

TEXTS: Final = {  # letters of each
    "name": 1_000, "question": 20_000, "page": MOST_PATH_LETTERS, "fingerprint": MOST_HASH_LETTERS,
    "device": MOST_WORD_LETTERS, "commit": 200, "created": 100,
}  # fmt: skip
MAY_BE_NONE: Final = ("device", "commit", "created")
COUNTS: Final = ("lane_steps", "lane_steps_executed", "lane_steps_planned")
SECONDS: Final = ("training_seconds", "compile_seconds")
STRUCTURED: Final = {  # letters of the JSON text of each
    "experiment": 2**25, "dimensions": 2**18, "figures": 2**20, "arguments": 2**20, "parent": 2**14, "plan": 2**24,
    "arithmetic": 2**23, "versions": 2**14, "networks": 2**24, "sources": 2**20,
    "failures": 2**24, "cuts": 2**25,
}  # fmt: skip
# What `sweep.run` writes into every store. It is needed to resume a sweep, to decide claims and to replay a lane.
PROVENANCE: Final = ("name", "experiment", "fingerprint", "arithmetic", "plan", "complete", *COUNTS[:2], *SECONDS)


def read_root(path: Path) -> dict[str, Any]:
    """Read the attributes of a store of any schema; only their number and the schema's type are checked.

    Args:
        path: the store.

    Raises:
        SweepError: if the root's file is not a regular file, is too large, or is not JSON with attributes.
    """
    try:
        attributes = parse(read_regular(path / ROOT, MOST_ROOT_BYTES).decode())["attributes"]
        require(isinstance(attributes, dict), "its attributes are not an object")
        require(len(attributes) <= MOST_ATTRIBUTES, f"it has more than {MOST_ATTRIBUTES} attributes")
        require(is_whole_number(attributes.get("schema", 0)), "its schema is not a whole number")
        return attributes
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(f"{path} is truncated: {ROOT} can't be read ({reason}); run again with --fresh") from error


def check_provenance(path: Path, attributes: Mapping[str, Any]) -> None:
    """Make sure that a store says where its numbers come from.

    Args:
        path: the store.
        attributes: its attributes, as `store.check` returns them.

    Raises:
        SweepError: naming what is missing.
    """
    if missing := [name for name in PROVENANCE if name not in attributes]:
        raise SweepError(
            f"{path} is truncated: it states no {', '.join(missing)}; run the page again with --fresh, "
            "or name another store"
        )


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Check the attributes that commands read, as far as they exist; others may have any value.

    Raises:
        ValueError: naming the attribute.
    """
    for name, most in TEXTS.items():
        if name in attributes and not (name in MAY_BE_NONE and attributes[name] is None):
            check_text(attributes[name], name, most)
    if "name" in attributes:
        _check_page(attributes["name"])
    _check_numbers(attributes)
    for name, most in STRUCTURED.items():
        if name in attributes:
            text = attributes[name]
            fits = isinstance(text, str) and len(text) <= most
            require(fits, f"its attribute {name!r} is not a JSON text of at most {most:,} letters")
            check_structured(name, text)


def _check_numbers(attributes: Mapping[str, Any]) -> None:
    for name in COUNTS:
        value = attributes.get(name, 0)
        require(is_whole_number(value) and is_amount(value), f"its attribute {name!r} is not a count")
    for name in SECONDS:
        require(is_amount(attributes.get(name, 0)), f"its attribute {name!r} is not a number of seconds")
    known = isinstance(attributes.get("complete", False), bool)
    require(known, "its attribute 'complete' is neither true nor false")


def _check_page(name: str) -> None:
    """Refuse a page's name that, as a path, would lead out of the folder of pages or of results."""
    parts = name.split("/")
    plain = all(part.strip() and part not in (".", "..") and len(part.encode()) <= MOST_NAME_LETTERS for part in parts)
    one_line = not {"\\", "\n", "\t"} & {*name}
    require(plain and one_line, f"{name[:80]!r} is not the name of a page")
