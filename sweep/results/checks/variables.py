"""What an array of a store must be, by its name: a knob, a status, a coordinate or a metric."""

from collections.abc import Set
from typing import Final

from sweep.base.labels import DIMENSIONS, METRICS, NETWORKS, RECORDED, STATUS
from sweep.results.checks.arrays import FLOATS, INNER, LANE, Array, words_of
from sweep.results.checks.scalars import require

# The metrics that sweep has had since its first store: in no store can one of them be defined by the page.
FIRST_METRICS: Final = frozenset(
    {"loss", "clean_loss", "spectral_error", "spatial_error", "gradient_norm", "parameter_norm"}
)
OF_A_LANE: Final = {"status": "int8", "first_bad_epoch": "float64", "stop_epoch": "float64"}
OF_NETWORKS: Final = {"network": ("int32",), "parameters": FLOATS, "training_state": ("uint8",)}


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
    foreign = set(array.attributes.get("coordinates", "").split()) - {*knobs, "step", "network", *DIMENSIONS}
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
    if array.holds_networks:
        return name in NETWORKS and dims == (LANE, *NETWORKS[name].dims) and dtype in OF_NETWORKS[name]
    if name in OF_A_LANE:
        return dims == (LANE,) and dtype == OF_A_LANE[name]
    if name == "network" and dims == (LANE,):
        return dtype in OF_NETWORKS[name]
    if name in DIMENSIONS:
        return dims == (name,) and dtype == ("int64" if name in (LANE, "layer") else "float64")
    if name == "step":
        return dims == ("epoch",) and dtype == "int64"
    if name == "target":
        return dims == (LANE, "x") and dtype in FLOATS
    if name == "prediction":
        return dims == (LANE, "snapshot_epoch", *RECORDED[name].dims) and dtype in FLOATS
    if name in METRICS and name not in page_metrics - FIRST_METRICS:
        return _is_metric(array) and dims[2:] == METRICS[name].dims
    return _is_metric(array)


def _is_metric(array: Array) -> bool:
    return array.dims[:2] == (LANE, "epoch") and set(array.dims[2:]) <= set(INNER) and array.dtype in FLOATS
