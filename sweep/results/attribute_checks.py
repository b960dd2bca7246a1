"""What a store may hold: its attributes and arrays are checked when it is opened, before anything trusts them.

A store may come from anybody. Here its files are listed (no links, no pipes), the sizes of its metadata are bounded
before these are read, the types, shapes and sizes that they state before anything is allocated, and values that choose
other values before they do. The numbers are in docs/store.md. Whatever does not fit is one line.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from sweep.base.errors import SweepError
from sweep.base.labels import DIMENSIONS, SEEDS, STATUS
from sweep.base.text import has_hidden_characters
from sweep.files.bounded_json import LARGEST, parse
from sweep.files.places import ROOT
from sweep.files.safe_files import list_files, read_regular
from sweep.page.specs.knobs import LARGEST_SEED
from sweep.page.specs.stop import BOUNDS
from sweep.results.array_checks import (
    LANE,
    MOST_LANES,
    OF_A_LANE,
    Array,
    check_chunks,
    check_kind,
    list_chunks,
    read_array,
    words_of,
)

Meta = dict[str, Any]

MOST_ROOT_BYTES: Final = 2**26  # of the file that holds a store's attributes
MOST_ATTRIBUTES: Final = 200
MOST_ARRAYS: Final = 1_000
MOST_FACTORS: Final = 24  # dimensions of the axes
MOST_KNOBS: Final = 1_000
MOST_FIGURES: Final = 1_000
MOST_OPTIONS: Final = 20  # of a figure
MOST_LETTERS: Final = 255  # of one name; the length that file systems give a name
MOST_ARGUMENTS: Final = 10_000
MOST_TILES: Final = 1_000_000
MOST_UNWRITTEN: Final = 2**32  # bytes that a complete store may leave to fill values

_TEXTS: Final = {  # letters of each
    "name": 1_000, "question": 20_000, "page": 4_096, "fingerprint": 64, "device": 1_000, "commit": 200, "created": 100,
}  # fmt: skip
_MAY_BE_NONE: Final = ("device", "commit", "created")
_COUNTS: Final = ("lane_steps", "lane_steps_executed", "lane_steps_planned")
_SECONDS: Final = ("training_seconds", "compile_seconds")
_STRUCTURED: Final = {  # letters of the JSON text of each
    "experiment": 2**25, "dimensions": 2**18, "figures": 2**20, "arguments": 2**20, "parent": 2**14, "plan": 2**24,
    "arithmetic": 2**23, "versions": 2**14,
}  # fmt: skip
# What every store has that `sweep.run` made, and what goes on with one, judges one or replays a lane needs.
PROVENANCE: Final = ("name", "experiment", "fingerprint", "arithmetic", "plan", "complete", *_COUNTS[:2], *_SECONDS)


def attributes(path: Path) -> Meta:
    """Read the attributes of a store, of any schema.

    Raises:
        SweepError: for a root file that is no regular one, too large, no JSON or without attributes.
    """
    try:
        told = parse(read_regular(path / ROOT, MOST_ROOT_BYTES).decode())["attributes"]
        _ask(isinstance(told, dict), "its attributes are no object")
        _ask(len(told) <= MOST_ATTRIBUTES, f"it has more than {MOST_ATTRIBUTES} attributes")
        if "schema" in told:
            _ask(_is_whole(told["schema"]), "its schema is no whole number")
        return told
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(f"{path} is truncated: {ROOT} can't be read ({reason}); run again with --fresh") from error


def check(path: Path, told: Meta) -> None:
    """Make sure that a store is one that `sweep` could have written.

    Args:
        path: the store.
        told: its attributes, `schema`, `arrays` and `dimensions` among them.

    Raises:
        SweepError: for anything else, in one line.
    """
    try:
        files = list_files(path)
    except OSError as error:
        raise SweepError(
            f"{path} is refused: {error.filename} {error.strerror}; a store holds plain files alone: "
            "remove that, or name another store"
        ) from error
    try:
        examine(path, told, files)
    except (ValueError, OSError) as error:
        reason = f"{error.filename} {error.strerror}" if isinstance(error, OSError) else error
        raise SweepError(
            f"{path} is truncated or damaged: {reason}; run the page again with --fresh, or name another store"
        ) from error


def examine(path: Path, told: Meta, files: Mapping[str, int]) -> None:
    """Find what in a store is none of `sweep`'s.

    Args:
        path: the store.
        told: its attributes.
        files: all of its files with their sizes.

    Raises:
        SweepError: for an array that is listed and not there.
        ValueError, OSError: for anything else.
    """
    check_attributes(told)
    arrays = _arrays(path, told["arrays"], files)
    _check_together(arrays, parse(told["dimensions"]))
    missing = _check_chunks(path, arrays, files)
    whole = told.get("complete") is not True or missing <= MOST_UNWRITTEN
    _ask(whole, f"{missing / 2**30:,.0f} GiB of a complete store are not there")


def check_room(path: Path, size: int) -> None:
    """Refuse results that are larger than this machine's memory.

    Args:
        path: the store.
        size: bytes of its arrays.

    Raises:
        SweepError: naming both sizes.
    """
    there = _memory()
    if size > there:
        raise SweepError(
            f"{path} holds {size / 2**30:,.1f} GiB of numbers, and this machine has {there / 2**30:,.1f} GiB of "
            "memory: open it where there is more, or name another store"
        )


def _memory() -> int:
    """Tell how much memory is built in."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**36  # an operating system that does not tell


def check_provenance(path: Path, told: Mapping[str, Any]) -> None:
    """Make sure that a store says where its numbers come from.

    Args:
        path: the store.
        told: its attributes, as `check` has passed them.

    Raises:
        SweepError: naming what is missing.
    """
    if missing := [name for name in PROVENANCE if name not in told]:
        raise SweepError(
            f"{path} is truncated: it states no {', '.join(missing)}; run the page again with --fresh, "
            "or name another store"
        )


def _ask(holds: bool, otherwise: str) -> None:
    """Refuse what does not hold."""
    if not holds:
        raise ValueError(otherwise)


# Attributes.


def check_attributes(told: Mapping[str, Any]) -> None:
    """Check type, length and form of each attribute that a command reads; others may be there.

    Raises:
        ValueError: naming the attribute.
    """
    for name, most in _TEXTS.items():
        if name in told and not (name in _MAY_BE_NONE and told[name] is None):
            check_text(told[name], name, most)
    for name in (*_COUNTS, *_SECONDS):
        if name in told:
            _check_number(told[name], name, whole=name in _COUNTS)
    _ask(
        "complete" not in told or isinstance(told["complete"], bool),
        "its attribute 'complete' is neither true nor false",
    )
    if "name" in told:
        _check_page(told["name"])
    for name, most in _STRUCTURED.items():
        if name in told:
            text = told[name]
            _ask(isinstance(text, str) and len(text) <= most, f"its attribute {name!r} is no text of JSON")
            _check_structured(name, text)


def _check_structured(name: str, text: str) -> None:
    try:
        _FORMS[name](parse(text))
    except ValueError as error:
        raise ValueError(f"its attribute {name!r}: {error}") from error


def check_text(value: Any, what: str, most: int) -> None:
    """Refuse what is no text, too long, or holds what a terminal would obey; newlines and tabs may be there.

    Raises:
        ValueError: naming it.
    """
    _ask(isinstance(value, str), f"its {what} is no text")
    _ask(len(value) <= most, f"its {what} has more than {most:,} letters")
    _ask(not has_hidden_characters(value), f"its {what} holds control characters")


def check_name(value: Any, what: str) -> None:
    """Refuse what is no name of an array, a knob or a dimension: an identifier.

    Raises:
        ValueError: naming it.
    """
    _ask(
        isinstance(value, str) and len(value) <= MOST_LETTERS and value.isidentifier(),
        f"{str(value)[:40]!r} is no name for {what}",
    )


def _check_page(name: str) -> None:
    """Refuse a page's name that would lead out of the folder of pages, or of results."""
    parts = name.split("/")
    plain = all(part.strip() and part not in (".", "..") and len(part.encode()) <= MOST_LETTERS for part in parts)
    _ask(plain and "\\" not in name and "\n" not in name and "\t" not in name, f"{name[:80]!r} is no page's name")


def _check_number(value: Any, what: str, *, whole: bool) -> None:
    kind = int if whole else int | float
    known = isinstance(value, kind) and not isinstance(value, bool)
    _ask(known and isfinite(value) and 0 <= value < LARGEST, f"its attribute {what!r} is no count")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_dimensions(found: Any) -> None:
    _ask(isinstance(found, list) and len(found) <= MOST_FACTORS, f"no list of at most {MOST_FACTORS} dimensions")
    for each in found:
        _ask(isinstance(each, list) and len(each) == 3, "a dimension is no name, size and knobs")
        name, size, knobs = each
        check_name(name, "a dimension")
        _ask(_is_whole(size) and 1 <= size <= MOST_LANES, f"dimension {name!r} has no size from 1 to {MOST_LANES:,}")
        _ask(isinstance(knobs, list) and len(knobs) <= MOST_KNOBS, f"dimension {name!r} has no list of knobs")
        for knob in knobs:
            check_name(knob, "a knob")
    names = [name for name, *_ in found]
    knobs = [knob for *_, own in found for knob in own]
    _ask(len(set(names)) == len(names) and len(set(knobs)) == len(knobs), "a dimension or a knob is there twice")
    own = {*DIMENSIONS, *OF_A_LANE}
    _ask(not own & set(knobs), f"a knob can't be named {', '.join(sorted(own & set(knobs)))}")
    wrong = sorted(own - {"point"} & set(names) | {n for n in names if n in knobs and not _is_own(n, found)})
    _ask(not wrong, f"a dimension can't be named {', '.join(wrong)}")


def _is_own(name: str, found: Sequence[Any]) -> bool:
    """Tell whether a dimension that has a knob's name is the one that this knob lies along."""
    return any(name == dim and name in knobs for dim, _, knobs in found)


def _check_experiment(found: Any) -> None:
    _ask(isinstance(found, dict), "no object")
    for name in ("task", "model", "optimizer", "stop"):
        _ask(isinstance(found.get(name), dict | None), f"its {name} is no object")
    for name in ("seed", "data_seed"):
        _ask(_is_whole(found.get(name, 0)), f"its {name} is no whole number")
    claims = found.get("claims") or []
    _ask(isinstance(claims, list), "its claims are no list")
    for claim in claims:
        texts = isinstance(claim, dict) and all(isinstance(claim.get(each), str) for each in ("id", "source"))
        _ask(texts, "a claim has no id or no source")
    stop = found.get("stop") or {}
    if stop.get("kind") == "Target":
        given = [stop[name] for name in BOUNDS if stop.get(name) is not None]
        known = isinstance(stop.get("metric"), str) and len(given) == 1 and _is_number(given[0])
        _ask(known, "its target is no value of a metric")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _check_figures(found: Any) -> None:
    _ask(isinstance(found, list) and len(found) <= MOST_FIGURES, f"no list of at most {MOST_FIGURES:,} figures")
    for each in found:
        _ask(isinstance(each, dict), "a figure is no object")
        check_name(each.get("name"), "a figure")
        options = each.get("options", {})
        _ask(isinstance(options, dict) and len(options) <= MOST_OPTIONS, f"figure {each['name']!r} has no options")
        for option, value in options.items():
            check_name(option, f"an option of figure {each['name']!r}")
            _ask(_is_number(value) or isinstance(value, str), f"option {option!r} is neither a number nor a name")
            if isinstance(value, str):
                check_text(value, f"option {option!r}", MOST_LETTERS)


def _check_arguments(found: Any) -> None:
    _ask(isinstance(found, list) and len(found) <= MOST_ARGUMENTS, "no list of arguments")
    for each in found:
        check_text(each, "argument", 2**16)


def _check_parent(found: Any) -> None:
    _ask(isinstance(found, dict), "no object")
    check_text(found.get("path"), "parent's path", _TEXTS["page"])
    check_text(found.get("fingerprint"), "parent's fingerprint", _TEXTS["fingerprint"])
    up_and_down = found["path"].split("/")
    names = [part for part in up_and_down if part != ".."]
    plain = up_and_down == [".."] * (len(up_and_down) - len(names)) + names and all(names) and "." not in names[:-1]
    _ask(plain and "\n" not in found["path"], "its path is not seen from the store")
    zoom = found.get("zoom", {})
    _ask(isinstance(zoom, dict) and all(isinstance(each, str) for each in zoom.values()), "its zoom is no object")


def _check_plan(found: Any) -> None:
    _ask(isinstance(found, dict), "no object")
    for name in ("wave_lanes", "chunk_lanes"):
        _ask(_is_whole(found.get(name)) and 1 <= found[name] <= MOST_LANES, f"its {name} is no number of lanes")


def _check_arithmetic(found: Any) -> None:
    _ask(isinstance(found, dict), "no object")
    tiles = found.get("tiles", [])
    known = isinstance(tiles, list) and len(tiles) <= MOST_TILES
    _ask(known and all(_is_whole(tile) and 1 <= tile <= MOST_LANES for tile in tiles), "its tiles are no sizes")
    _check_texts({name: value for name, value in found.items() if name not in ("tiles", "engine")})


def _check_texts(found: Any) -> None:
    _ask(isinstance(found, dict), "no object")
    for name, value in found.items():
        if isinstance(value, str):
            check_text(value, str(name), _TEXTS["device"])


_FORMS: Final[Mapping[str, Callable[[Any], None]]] = {
    "experiment": _check_experiment,
    "dimensions": _check_dimensions,
    "figures": _check_figures,
    "arguments": _check_arguments,
    "parent": _check_parent,
    "plan": _check_plan,
    "arithmetic": _check_arithmetic,
    "versions": _check_texts,
}


# Arrays.


def _arrays(path: Path, names: Any, files: Mapping[str, int]) -> dict[str, Array]:
    """Read the metadata of all arrays."""
    _ask(isinstance(names, list) and len(names) <= MOST_ARRAYS, f"it lists no arrays, or more than {MOST_ARRAYS:,}")
    for name in names:
        check_name(name, "an array")
    _ask(len(set(names)) == len(names), "it lists an array twice")
    if missing := [name for name in names if f"{name}/{ROOT}" not in files]:
        raise SweepError(f"{path} is truncated: it lacks {', '.join(missing)}; run the page again with --fresh")
    there = {file.partition("/")[0] for file in files if file.count("/") == 1 and file.endswith(f"/{ROOT}")}
    _ask(there <= set(names), f"it holds {', '.join(sorted(there - set(names)))[:80]}, which it does not list")
    return {name: read_array(path, name) for name in names}


def _check_together(arrays: Mapping[str, Array], factors: Sequence[Any]) -> None:
    """Make sure that arrays fit the axes and each other."""
    for name in (LANE, "status", "first_bad_epoch"):
        _ask(name in arrays, f"it lists no {name}")
    knobs = {knob for *_, own in factors for knob in own}
    lacking = sorted(knobs - set(arrays))
    _ask(not lacking, f"it lists no {', '.join(lacking)[:80]}, which its dimensions name")
    swept = {name for name, *_ in factors} - knobs
    _ask(not swept & set(arrays), f"{', '.join(sorted(swept & set(arrays)))} is an array and a dimension")
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        check_kind(array, knob=name in knobs, coordinates={*knobs, "step", *DIMENSIONS})
        for dim, size in zip(array.dims, array.shape, strict=True):
            _ask(sizes.setdefault(dim, size) == size, f"{name} has {size:,} along {dim}, others {sizes[dim]:,}")
    for dim in sizes:
        _ask(dim in arrays and arrays[dim].dims == (dim,), f"it lists no {dim}, along which others lie")


def _check_chunks(path: Path, arrays: Mapping[str, Array], files: Mapping[str, int]) -> int:
    """Make sure that each chunk's file holds what a chunk of its array holds; count the bytes of those not there."""
    chunks = list_chunks(files)
    return sum(check_chunks(path, array, chunks.get(name, {})) for name, array in arrays.items())


# Values.


def check_values(flat: xr.Dataset) -> xr.Dataset:
    """Check the values of a store by which others are found, and say which of its arrays are coordinates.

    Args:
        flat: a store as it is laid out, of arrays that `check` has passed.

    Raises:
        ValueError: for codes, records or coordinates that can't be.
    """
    knobs = [knob for *_, own in parse(flat.attrs["dimensions"]) for knob in own]
    flat = flat.set_coords([name for name in ("step", *knobs, *flat.dims) if name in flat.variables])
    _check_codes("status", flat["status"].values, len(STATUS))
    for knob in knobs:
        _check_knob(flat[knob][flat[LANE].values >= 0])
    for name in ("epoch", "snapshot_epoch"):
        if name in flat.coords:
            _check_rising(name, flat[name].values)
    if "snapshot_epoch" in flat.coords and "epoch" in flat.coords:
        _ask(bool(np.isin(flat["snapshot_epoch"], flat["epoch"]).all()), "a snapshot is at no record")
    for name in ("frequency", "x", "layer"):
        if name in flat.coords:
            _ask(bool(np.isfinite(flat[name].values).all()), f"its {name} is not finite")
    if "frequency" in flat.coords:
        _ask(np.unique(flat["frequency"]).size == flat["frequency"].size, "a frequency is there twice")
    return flat


def check_lanes(lane: np.ndarray, sizes: Sequence[int]) -> None:
    """Make sure that the lanes of a store are those of its axes, once each, beside empty places of number -1.

    Args:
        lane: the numbers of the lanes, in stored order.
        sizes: of the dimensions of the axes.

    Raises:
        ValueError: if not.
    """
    taken = np.sort(lane[lane >= 0])
    whole = taken.size == prod(sizes) and np.array_equal(taken, np.arange(taken.size))
    _ask(whole and bool((lane >= -1).all()), f"its lanes are not the {prod(sizes):,} of its dimensions, once each")


def _check_knob(column: xr.DataArray) -> None:
    if "flag_meanings" in column.attrs:
        _check_codes(str(column.name), column.values, len(words_of(dict(column.attrs))))
    elif column.dtype.kind == "f":
        _ask(not bool(np.isinf(column.values).any()), f"a {column.name} is not finite")
        _ask(not bool(np.isnan(column.values).all()), f"its {column.name} is a number in no lane")
    if column.name in SEEDS:
        _ask(bool(((column >= 0) & (column <= LARGEST_SEED)).all()), f"a {column.name} is none")


def _check_codes(name: str, codes: np.ndarray, count: int) -> None:
    _ask(bool(((codes >= 0) & (codes < count)).all()), f"{name} has codes beyond its {count} words")


def _check_rising(name: str, values: np.ndarray) -> None:
    rising = bool(np.isfinite(values).all() and values[0] >= 0 and (np.diff(values) > 0).all())
    _ask(rising, f"its {name} does not rise from record to record")
