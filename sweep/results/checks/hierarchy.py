"""All of a store: its files, its attributes, its arrays, and whether these fit each other."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.labels import NETWORK_DIMS, NETWORKS
from sweep.base.masks import read_mask
from sweep.files.bounded_json import parse
from sweep.files.places import ROOT
from sweep.files.safe_files import list_files
from sweep.results.checks.arrays import LANE, Array, read_array
from sweep.results.checks.attributes import check_attributes
from sweep.results.checks.chunks import check_chunks, list_chunks
from sweep.results.checks.scalars import check_name, is_whole_number, require
from sweep.results.checks.structured import longest_network, page_dimensions, page_metrics
from sweep.results.checks.variables import Names, check_variable

MOST_ARRAYS: Final = 1_000
MOST_UNWRITTEN_BYTES: Final = 2**32  # in a complete store, of chunks that are not written as they equal the fill value


def check_store(path: Path, attributes: Mapping[str, Any]) -> None:
    """Make sure that a store is one that `sweep` could have written.

    Args:
        path: the store.
        attributes: its attributes, `schema`, `arrays` and `dimensions` among them.

    Raises:
        SweepError: for anything else, in one line.
    """
    try:
        files = list_files(path)
    except OSError as error:
        raise SweepError(
            f"{path} is refused: {error.filename} {error.strerror}; a store holds only plain files: "
            "remove this one, or name another store"
        ) from error
    try:
        examine(path, attributes, files)
    except (ValueError, OSError) as error:
        reason = f"{error.filename} {error.strerror}" if isinstance(error, OSError) else error
        raise SweepError(
            f"{path} is truncated or damaged: {reason}; run the page again with --fresh, or name another store"
        ) from error


def examine(path: Path, attributes: Mapping[str, Any], files: Mapping[str, int]) -> None:
    """Look for anything that `sweep` can't have written.

    Args:
        path: the store.
        attributes: its attributes.
        files: the sizes in bytes of all of its files, by path.

    Raises:
        SweepError: for an array that is listed but missing.
        ValueError, OSError: for anything else.
    """
    check_attributes(attributes)
    arrays = _read_arrays(path, attributes["arrays"], files)
    factors = parse(attributes["dimensions"])
    knobs = frozenset(knob for *_, names in factors for knob in names)
    _check_together(arrays, factors, Names(knobs, page_metrics(attributes), page_dimensions(attributes)))
    _check_networks(arrays, attributes.get("networks"))
    _check_lane_masks(attributes, prod(size for _, size, _ in factors))
    missing = _check_chunks(path, arrays, files)
    enough = attributes.get("complete") is not True or missing <= MOST_UNWRITTEN_BYTES
    require(enough, f"{missing / 2**30:,.0f} GiB of a complete store are missing")


def _read_arrays(path: Path, names: Any, files: Mapping[str, int]) -> dict[str, Array]:
    """Read the metadata of all arrays."""
    few = isinstance(names, list) and len(names) <= MOST_ARRAYS
    require(few, f"its attribute 'arrays' is not a list of at most {MOST_ARRAYS:,} names")
    for name in names:
        check_name(name, "an array")
    require(len(set(names)) == len(names), "it lists an array twice")
    if missing := [name for name in names if f"{name}/{ROOT}" not in files]:
        raise SweepError(f"{path} is truncated: it lacks {', '.join(missing)}; run the page again with --fresh")
    stored = {file.partition("/")[0] for file in files if file.count("/") == 1 and file.endswith(f"/{ROOT}")}
    unlisted = sorted(stored - set(names))
    require(not unlisted, f"it holds {', '.join(unlisted)[:80]}, which it does not list")
    return {name: read_array(path, name) for name in names}


def _check_together(arrays: Mapping[str, Array], factors: Sequence[Any], names: Names) -> None:
    """Make sure that arrays fit the axes and each other."""
    for name in (LANE, "status", "first_bad_epoch"):
        require(name in arrays, f"it lists no {name}")
    lacking = sorted(names.knobs - set(arrays))
    require(not lacking, f"it lists no {', '.join(lacking)[:80]}, which its dimensions name")
    axes = {name for name, *_ in factors}
    twice = sorted((axes - names.knobs) & set(arrays) | names.dims & (axes | names.knobs | names.metrics))
    require(not twice, f"{', '.join(twice)} is the name of an array and of a dimension")
    for array in arrays.values():
        check_variable(array, names)
    _check_sizes(arrays)


def _check_sizes(arrays: Mapping[str, Array]) -> None:
    """Make sure that each dimension has the same size in all arrays, and a coordinate."""
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        for dim, size in zip(array.dims, array.shape, strict=True):
            same = sizes.setdefault(dim, size) == size
            require(same, f"{name} has {size:,} entries along {dim}, another array has {sizes[dim]:,}")
    for dim in sizes.keys() - {*NETWORK_DIMS}:
        known = dim in arrays and arrays[dim].dims == (dim,)
        require(known, f"it lists no {dim}, along which other arrays lie")


def _check_lane_masks(attributes: Mapping[str, Any], lanes: int) -> None:
    """Make sure that what a store says of each lane, and of its earlier lengths, fits its axes and its page."""
    for _, cut in parse(attributes.get("cuts", "[]")):
        read_mask(cut, lanes)
    plan = parse(attributes.get("plan", "{}"))
    if "held" in plan:
        read_mask(plan["held"], lanes)
    if earlier := plan.get("earlier_epochs"):
        epochs = parse(attributes["experiment"]).get("epochs") if "experiment" in attributes else None
        require(is_whole_number(epochs) and earlier[-1] < epochs, "its earlier_epochs are not shorter than its epochs")


def _check_networks(arrays: Mapping[str, Array], networks: str | None) -> None:
    """Make sure that the arrays of networks are as long as the longest of those that the store describes."""
    held = [array for array in arrays.values() if array.holds_networks]
    described = networks is not None and "parameters" in arrays and "network" in arrays
    require(described or not held, "it describes no networks, but holds some")
    for array in held:
        longest = longest_network(networks or "[]", NETWORKS[array.name].dims[0])
        require(longest == array.shape[1], f"the longest {array.name} it describes has {longest:,} entries")


def _check_chunks(path: Path, arrays: Mapping[str, Array], files: Mapping[str, int]) -> int:
    """Check the files of all chunks; return the number of bytes that the chunks without a file would have."""
    chunks = list_chunks(files)
    missing = {name: check_chunks(path, array, chunks.get(name, {})) for name, array in arrays.items()}
    return sum(size for name, size in missing.items() if not arrays[name].holds_networks)  # these are read lane by lane
