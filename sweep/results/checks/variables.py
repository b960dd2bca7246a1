"""What an array of a store must be, by its name: a knob, a status, a coordinate or a metric."""

from collections.abc import Set
from typing import Final

from sweep.base.labels import DIMENSIONS, METRICS, RECORDED, STATUS
from sweep.results.checks.arrays import FLOATS, INNER, LANE, Array, words_of
from sweep.results.checks.scalars import require

# The metrics that sweep has had since its first store: in no store can one of them be defined by the page.
FIRST_METRICS: Final = frozenset(
    {"loss", "clean_loss", "spectral_error", "spatial_error", "gradient_norm", "parameter_norm"}
)
NAMED: Final = ("output", "feature")  # dimensions whose values are words
OF_SAMPLES: Final = ("sample_target", "sample_input")  # what is known of rows
SCALES: Final = ("input_mean", "input_deviation", "target_mean", "target_deviation")
OF_A_LANE: Final = {"status": "int8", "first_bad_epoch": "float64", "stop_epoch": "float64"}


def check_variable(array: Array, knobs: Set[str], page_metrics: Set[str]) -> None:
    """Make sure that an array has the type and the dimensions that belong to its name.

    Args:
        array: the array.
        knobs: the names of the swept knobs.
        page_metrics: the names of the metrics that the page itself defines. Such a name may now be that of a metric of
            sweep, added later, with other dimensions.

    Raises:
        ValueError: naming it.
    """
    foreign = set(array.attributes.get("coordinates", "").split()) - {*knobs, "step", *DIMENSIONS, *OF_SAMPLES}
    require(not foreign, f"array {array.name} names {', '.join(sorted(foreign))[:80]} as coordinates")
    if array.name == "status" and "flag_meanings" in array.attributes:
        words = words_of(array.attributes)
        require(tuple(words) == STATUS[: len(words)], "the words of its status are not those of results")
    right = _is_knob(array) if array.name in knobs else _is_variable(array, page_metrics)
    require(right, f"array {array.name} does not have the dimensions, or the type, that it has in results")


def _is_knob(array: Array) -> bool:
    types = ("int16",) if "flag_meanings" in array.attributes else (*FLOATS, "int64")
    return array.dims == (LANE,) and array.dtype in types


def _is_variable(array: Array, page_metrics: Set[str]) -> bool:
    """Tell whether an array that is no knob has the type and the dimensions that belong to its name."""
    name, dims, dtype = array.name, array.dims, array.dtype
    if name in OF_A_LANE:
        return dims == (LANE,) and dtype == OF_A_LANE[name]
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
    if name in METRICS and name not in page_metrics - FIRST_METRICS:
        return _is_metric(array) and dims[2:] in (METRICS[name].dims, ("x1", "x2") * (METRICS[name].dims == ("x",)))
    return _is_metric(array)


def _lies_along(dims: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Tell whether these are the dimensions of a variable, with those of several outputs, or of two features as x."""
    over = tuple(each for dim in wanted for each in (("x1", "x2") if dim == "x" else (dim,)))
    return any(dims in (one, (*one, "output")) for one in (wanted, over))


def _is_metric(array: Array) -> bool:
    return array.dims[:2] == (LANE, "epoch") and set(array.dims[2:]) <= set(INNER) and array.dtype in FLOATS
