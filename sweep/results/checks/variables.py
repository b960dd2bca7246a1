"""What an array of a store must be, by its name: a knob, a status, a coordinate or a metric."""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from sweep.base.labels import DIMENSIONS, METRICS, NETWORK_DIMS, NETWORKS, RECORDED, STATUS
from sweep.results.checks.arrays import FLOATS, INNER, LANE, MOMENTS, Array, words_of
from sweep.results.checks.scalars import require

# The metrics that sweep has had since its first store: in no store can one of them be defined by the page.
FIRST_METRICS: Final = frozenset(
    {"loss", "clean_loss", "spectral_error", "spatial_error", "gradient_norm", "parameter_norm"}
)
NAMED: Final = ("output", "feature")  # dimensions whose values are words
OF_SAMPLES: Final = ("sample_target", "sample_input")  # what is known of rows
SCALES: Final = ("input_mean", "input_deviation", "target_mean", "target_deviation")
OF_A_LANE: Final = {"status": "int8", "first_bad_epoch": "float64", "stop_epoch": "float64"}
OF_NETWORKS: Final = {"network": ("int32",), "parameters": FLOATS, "training_state": ("uint8",)}


_NUMBERS: Final = re.compile(r"[0-9.e+-]+(, [0-9.e+-]+)*")  # "32-32", or "1, -0.5": see `specs.written`


@dataclass(frozen=True)
class Names:
    """The names that a page gives to arrays of its store.

    Args:
        knobs: the swept knobs.
        metrics: the metrics that the page itself defines. Such a name may now be that of a metric of sweep, added
            later, with other dimensions.
        dims: the dimensions that only these metrics have.
    """

    knobs: Set[str]
    metrics: Set[str]
    dims: Set[str]


def check_variable(array: Array, names: Names) -> None:
    """Make sure that an array has the type and the dimensions that belong to its name.

    Args:
        array: the array.
        names: those that the page gives.

    Raises:
        ValueError: naming it.
    """
    known = {LANE, *MOMENTS, *INNER, *NETWORK_DIMS, *names.dims}
    require(known.issuperset(array.dims), f"array {array.name}: it lies along dimensions that results do not have")
    known_coordinates = {*names.knobs, "step", "network", *DIMENSIONS, *OF_SAMPLES}
    foreign = set(array.attributes.get("coordinates", "").split()) - known_coordinates
    require(not foreign, f"array {array.name} names {', '.join(sorted(foreign))[:80]} as coordinates")
    if array.name == "status" and "flag_meanings" in array.attributes:
        words = words_of(array.attributes)
        require(tuple(words) == STATUS[: len(words)], "the words of its status are not those of results")
    right = _is_knob(array) if array.name in names.knobs else _is_variable(array, names)
    require(right, f"array {array.name} does not have the dimensions, or the type, that it has in results")


def _is_knob(array: Array) -> bool:
    for word in words_of(array.attributes) if "flag_meanings" in array.attributes else ():
        plain = word == "" or word.isidentifier() or _NUMBERS.fullmatch(word)
        require(bool(plain), f"{word[:40]!r} is not a word that a knob takes")
    types = ("int16",) if "flag_meanings" in array.attributes else (*FLOATS, "int64")
    return array.dims == (LANE,) and array.dtype in types


def _is_variable(array: Array, names: Names) -> bool:
    """Tell whether an array that is no knob has the type and the dimensions that belong to its name."""
    name, dims, dtype = array.name, array.dims, array.dtype
    if name in names.dims:
        return dims == (name,) and dtype in ("int64", "float64")
    if array.holds_networks:
        return name in NETWORKS and dims == (LANE, *NETWORKS[name].dims) and dtype in OF_NETWORKS[name]
    if name in OF_A_LANE:
        return dims == (LANE,) and dtype == OF_A_LANE[name]
    if name == "network" and dims == (LANE,):
        return dtype in OF_NETWORKS[name]
    if name in NAMED:
        return dims == (name,) and dtype == "int16" and "flag_meanings" in array.attributes
    if name in DIMENSIONS:
        return dims == (name,) and dtype == ("int64" if name in (LANE, "layer", "sample") else "float64")
    if name == "step":
        return dims == ("epoch",) and dtype == "int64"
    if name in ("target", "is_validation", *SCALES):
        return _lies_along(dims, (LANE, *RECORDED[name].dims)) and dtype in FLOATS
    if name in OF_SAMPLES:
        codes = dtype == "int16" and "flag_meanings" in array.attributes
        return _lies_along(dims, RECORDED[name].dims) and (dtype == "float64" or codes)
    if name in ("prediction", "sample_prediction"):
        return _lies_along(dims, (LANE, "snapshot_epoch", *RECORDED[name].dims)) and dtype in FLOATS
    is_metric = dims[:2] == (LANE, "epoch") and dtype in FLOATS and not {*MOMENTS, LANE} & {*dims[2:]}
    if name in METRICS and name not in names.metrics - FIRST_METRICS:
        return is_metric and dims[2:] in _forms(METRICS[name].dims)
    return is_metric


def _lies_along(dims: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Tell whether these are the dimensions of a variable, with those of several outputs, or of two features as x."""
    return any(dims in (one, (*one, "output")) for one in _forms(wanted))


def _forms(dims: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give dimensions as they are, and with those of two features as x."""
    return dims, tuple(each for dim in dims for each in (("x1", "x2") if dim == "x" else (dim,)))
