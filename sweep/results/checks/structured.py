"""What the attributes of a store that are JSON text may hold; each has its own form."""

import json
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Final

from sweep.base.labels import DIMENSIONS, PARAMETER, RECORDED, STORE_FILES
from sweep.base.text import has_hidden_characters
from sweep.files.bounded_json import parse
from sweep.page.axes import MOST_LANES
from sweep.page.specs.stop import BOUNDS
from sweep.results.checks.arrays import FLOATS, MOST_OF_A_NETWORK, SIZES
from sweep.results.checks.scalars import check_name, check_text, is_number, is_whole_number, require
from sweep.results.checks.variables import FIRST_METRICS, OF_A_LANE

MOST_FACTORS: Final = 24  # dimensions of the axes
MOST_KNOBS: Final = 1_000
MOST_FIGURES: Final = 1_000
MOST_OPTIONS: Final = 20  # of a figure
MOST_OPTION_LETTERS: Final = 255
MOST_ARGUMENTS: Final = 10_000
MOST_ARGUMENT_LETTERS: Final = 2**16
MOST_TILES: Final = 1_000_000
MOST_LENGTHS: Final = 1_000  # of trainings that were made longer and longer; and stores that one was made from
MOST_RUNGS: Final = 1_000
MOST_NETWORKS: Final = 2**20
MOST_LEAVES: Final = 100_000  # arrays of one network
MOST_PATH_KEYS: Final = 32  # of an array of a network; also its dimensions
MOST_PATH_LETTERS: Final = 4_096
MOST_HASH_LETTERS: Final = 64
MOST_WORD_LETTERS: Final = 1_000  # of the name of a device, or of the version of a package
_RESERVED: Final = frozenset({*DIMENSIONS, *OF_A_LANE})


def page_metrics(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Name the metrics that the page itself defines, as a store describes its experiment.

    Args:
        attributes: the checked attributes of a store. Without a description no metric is known to be the page's.
    """
    # Checked before, so that no bounds are needed here.
    return frozenset(metric["name"] for metric in _own_metrics(attributes))


def page_dimensions(attributes: Mapping[str, Any]) -> frozenset[str]:
    """Name the dimensions that only metrics of the page have, as a store describes its experiment.

    Args:
        attributes: the checked attributes of a store.
    """
    dims = (dim for metric in _own_metrics(attributes) for dim in metric.get("dims") or ())
    return frozenset(dim["name"] for dim in dims if isinstance(dim, Mapping))


def _own_metrics(attributes: Mapping[str, Any]) -> Sequence[Any]:
    return _metrics_of_page(json.loads(attributes.get("experiment", "{}")))


def _metrics_of_page(experiment: Mapping[str, Any]) -> Sequence[Any]:
    """Give the metrics that a described page defines: those of its records, or of its training."""
    record, training = experiment.get("record") or {}, experiment.get("training") or {}
    return training.get("metrics") or record.get("own") or []


def check_structured(name: str, text: str) -> None:
    """Check an attribute that is JSON text.

    Args:
        name: name of the attribute, one of `FORMS`.
        text: its value.

    Raises:
        ValueError: naming it.
    """
    try:
        FORMS[name](parse(text))
    except ValueError as error:
        raise ValueError(f"its attribute {name!r}: {error}") from error


def _check_dimensions(found: Any) -> None:
    require(
        isinstance(found, list) and len(found) <= MOST_FACTORS, f"it is not a list of at most {MOST_FACTORS} dimensions"
    )
    for each in found:
        _check_dimension(each)
    names = [name for name, *_ in found]
    knobs = [knob for *_, dim_knobs in found for knob in dim_knobs]
    distinct = len(set(names)) == len(names) and len(set(knobs)) == len(knobs)
    require(distinct, "it names a dimension or a knob twice")
    reserved = _RESERVED & set(knobs)
    require(not reserved, f"a knob can't be named {', '.join(sorted(reserved))}")
    foreign = {name for name in names if name in knobs and not _lies_along_itself(name, found)}
    wrong = sorted(_RESERVED - {"point"} & set(names) | foreign)
    require(not wrong, f"a dimension can't be named {', '.join(wrong)}")


def _check_dimension(found: Any) -> None:
    is_triple = isinstance(found, list) and len(found) == 3
    require(is_triple, "a dimension is not given as its name, its size and its knobs")
    name, size, knobs = found
    check_name(name, "a dimension")
    has_size = is_whole_number(size) and 1 <= size <= MOST_LANES
    require(has_size, f"dimension {name!r} has no size from 1 to {MOST_LANES:,}")
    has_knobs = isinstance(knobs, list) and len(knobs) <= MOST_KNOBS
    require(has_knobs, f"dimension {name!r} has no list of at most {MOST_KNOBS:,} knobs")
    for knob in knobs:
        check_name(knob, "a knob")


def _lies_along_itself(name: str, found: Sequence[Any]) -> bool:
    """Tell whether the knob that has the name of a dimension lies along that dimension."""
    return any(name == dim and name in knobs for dim, _, knobs in found)


def _check_experiment(found: Any) -> None:
    _require_object(found)
    for name in ("task", "model", "optimizer", "training", "record"):
        require(isinstance(found.get(name), dict | None), f"its {name} is not an object")
    for name in ("seed", "data_seed"):
        require(is_whole_number(found.get(name, 0)), f"its {name} is not a whole number")
    _check_claims(found.get("claims") or [])
    _check_page_metrics(_metrics_of_page(found))
    _check_stop(found.get("stop") or [])


def _check_claims(found: Any) -> None:
    require(isinstance(found, list), "its claims are not a list")
    for claim in found:
        texts = isinstance(claim, dict) and all(isinstance(claim.get(name), str) for name in ("id", "source"))
        require(texts, "a claim has no id or no source")


def _check_page_metrics(found: Any) -> None:
    require(isinstance(found, list), "the metrics of its page are not a list")
    for metric in found:
        require(isinstance(metric, dict), "a metric of its page is not an object")
        check_name(metric.get("name"), "a metric")
        dims = metric.get("dims") or []
        require(isinstance(dims, list), "the dimensions of a metric of its page are not a list")
        for dim in dims:
            _check_page_dimension(dim)


def _check_page_dimension(found: Any) -> None:
    """Check a dimension of a metric of the page: the name of a usual one, or an object that has another name."""
    require(isinstance(found, str | dict), "a dimension of a metric of its page is neither a name nor an object")
    if isinstance(found, dict):
        check_name(found.get("name"), "a dimension")
        free = found["name"] not in {*_RESERVED, *RECORDED, *FIRST_METRICS, *STORE_FILES}
        require(free, f"a dimension of a metric can't be named {found['name']}")


def _check_stop(found: Any) -> None:
    rules = found if isinstance(found, list) else [found]
    require(all(isinstance(rule, dict) for rule in rules), "its stop is not an object")
    for rule in rules:
        if rule.get("kind") == "Target":
            values = [rule[name] for name in BOUNDS if rule.get(name) is not None]
            is_target = isinstance(rule.get("metric"), str) and len(values) == 1 and is_number(values[0])
            require(is_target, "its target is not one value of a metric")


def _check_figures(found: Any) -> None:
    few = isinstance(found, list) and len(found) <= MOST_FIGURES
    require(few, f"it is not a list of at most {MOST_FIGURES:,} figures")
    for figure in found:
        require(isinstance(figure, dict), "a figure is not an object")
        check_name(figure.get("name"), "a figure")
        _check_options(figure["name"], figure.get("options", {}))


def _check_options(figure: str, options: Any) -> None:
    few = isinstance(options, dict) and len(options) <= MOST_OPTIONS
    require(few, f"figure {figure!r} does not have an object of at most {MOST_OPTIONS} options")
    for option, value in options.items():
        check_name(option, f"an option of figure {figure!r}")
        require(is_number(value) or isinstance(value, str), f"option {option!r} is neither a number nor a name")
        if isinstance(value, str):
            check_text(value, f"option {option!r}", MOST_OPTION_LETTERS)


def _check_arguments(found: Any) -> None:
    few = isinstance(found, list) and len(found) <= MOST_ARGUMENTS
    require(few, f"it is not a list of at most {MOST_ARGUMENTS:,} arguments")
    for argument in found:
        check_text(argument, "argument", MOST_ARGUMENT_LETTERS)


def _check_parent(found: Any) -> None:
    _require_object(found)
    check_text(found.get("path"), "parent's path", MOST_PATH_LETTERS)
    check_text(found.get("fingerprint"), "parent's fingerprint", MOST_HASH_LETTERS)
    require(_is_relative(found["path"]), "its path is not relative to the store")
    zoom = found.get("zoom", {})
    ranges = isinstance(zoom, dict) and all(isinstance(each, str) for each in zoom.values())
    require(ranges, "its zoom is not an object of texts")


def _is_relative(path: str) -> bool:
    """Tell whether a path first goes up and then down by plain names, as from a store to its parent."""
    parts = path.split("/")
    down = [part for part in parts if part != ".."]
    upwards_first = parts == [".."] * (len(parts) - len(down)) + down
    return upwards_first and all(down) and "." not in down[:-1] and "\n" not in path


def _check_plan(found: Any) -> None:
    _require_object(found)
    for name in ("wave_lanes", "chunk_lanes"):
        known = is_whole_number(found.get(name)) and 1 <= found[name] <= MOST_LANES
        require(known, f"its {name} is not a number of lanes from 1 to {MOST_LANES:,}")
    require(isinstance(found.get("held", ""), str), "its held lanes are not a text")
    earlier = found.get("earlier_epochs", [])
    increase = isinstance(earlier, list) and all(map(is_whole_number, earlier)) and earlier == sorted({*earlier})
    few = increase and len(earlier) <= MOST_LENGTHS and all(each > 0 for each in earlier)
    require(few, f"its earlier_epochs are not at most {MOST_LENGTHS} numbers that increase")


def _check_arithmetic(found: Any) -> None:
    _require_object(found)
    tiles = found.get("tiles", [])
    few = isinstance(tiles, list) and len(tiles) <= MOST_TILES
    require(few and all(map(_is_tile, tiles)), f"its tiles are not a list of at most {MOST_TILES:,} numbers of lanes")
    _check_texts({name: value for name, value in found.items() if name not in ("tiles", "engine")})


def _is_tile(value: Any) -> bool:
    return is_whole_number(value) and 1 <= value <= MOST_LANES


def _check_texts(found: Any) -> None:
    _require_object(found)
    for name, value in found.items():
        if isinstance(value, str):
            check_text(value, str(name), MOST_WORD_LETTERS)


def _check_sources(found: Any) -> None:
    few = isinstance(found, list) and len(found) <= MOST_LENGTHS
    require(few, f"it is not a list of at most {MOST_LENGTHS:,} stores")
    for each in found:
        _check_texts(each)


def _check_cuts(found: Any) -> None:
    few = isinstance(found, list) and len(found) <= MOST_RUNGS
    require(few, f"it is not a list of at most {MOST_RUNGS:,} rungs")
    pairs = all(isinstance(rung, list) and len(rung) == 2 for rung in found)
    known = pairs and all(is_whole_number(record) and isinstance(text, str) for record, text in found)
    require(known, "a rung is not given as its record and its lanes")
    records = [record for record, _ in found]
    require(records == sorted({*records}), "its records do not increase")


def _check_failures(found: Any) -> None:
    few = isinstance(found, list) and len(found) <= MOST_NETWORKS
    require(few, f"it is not a list of at most {MOST_NETWORKS:,} waves")
    for each in found:
        _check_texts(each)
        numbers = [each.get(name) for name in ("start", "stop", "tries")]
        require(all(map(is_whole_number, numbers)), "the start, stop and tries of a wave are not whole numbers")


def _check_networks(found: Any) -> None:
    few = isinstance(found, list) and 1 <= len(found) <= MOST_NETWORKS
    require(few, f"it is not a list of at most {MOST_NETWORKS:,} networks")
    for network in found:
        _require_object(network)
        for name in ("parameters", "state"):
            leaves = network.get(name)
            known = isinstance(leaves, list) and len(leaves) <= MOST_LEAVES and all(map(_is_leaf, leaves))
            require(known, f"the {name} of a network are not a list of at most {MOST_LEAVES:,} arrays")
            require(
                _are_apart([path for path, *_ in leaves]), f"two arrays of the {name} of a network are in one place"
            )
        types = {dtype for *_, dtype in network["parameters"]}
        require(types <= {*FLOATS} and len(types) < 2, "the parameters of a network are not of one type")


def _is_leaf(found: Any) -> bool:
    """Tell whether this is an array of a pytree: its path, its shape and its type."""
    if not (isinstance(found, list) and len(found) == 3):
        return False
    path, shape, dtype = found
    return (
        isinstance(path, list)
        and len(path) <= MOST_PATH_KEYS
        and all(_is_key(key) for key in path)
        and isinstance(shape, list)
        and len(shape) <= MOST_PATH_KEYS
        and all(is_whole_number(size) and 0 <= size <= MOST_OF_A_NETWORK for size in shape)
        and prod(shape) <= MOST_OF_A_NETWORK
        and dtype in SIZES
    )


def _are_apart(paths: list[list[Any]]) -> bool:
    """Tell whether no path is the beginning of another one, or equal to it."""
    whole = {tuple(path) for path in paths}
    inner = {tuple(path[:length]) for path in paths for length in range(len(path))}
    return len(whole) == len(paths) and not whole & inner


def _is_key(key: Any) -> bool:
    if isinstance(key, str):
        return len(key) <= MOST_OPTION_LETTERS and not has_hidden_characters(key)
    return is_whole_number(key) and 0 <= key <= MOST_LEAVES


def longest_network(text: str, dim: str) -> int:
    """Count the entries of the longest network that a store describes.

    Args:
        text: the checked attribute `networks`.
        dim: the dimension along which entries lie: parameters, or bytes of a state.
    """
    if dim == PARAMETER:
        return max(sum(prod(shape) for _, shape, _ in each["parameters"]) for each in json.loads(text))
    return max(sum(prod(shape) * SIZES[dtype] for _, shape, dtype in each["state"]) for each in json.loads(text))


def _require_object(found: Any) -> None:
    require(isinstance(found, dict), "it is not an object")


FORMS: Final[Mapping[str, Callable[[Any], None]]] = {
    "experiment": _check_experiment,
    "dimensions": _check_dimensions,
    "figures": _check_figures,
    "arguments": _check_arguments,
    "parent": _check_parent,
    "plan": _check_plan,
    "arithmetic": _check_arithmetic,
    "versions": _check_texts,
    "networks": _check_networks,
    "sources": _check_sources,
    "cuts": _check_cuts,
    "failures": _check_failures,
}
