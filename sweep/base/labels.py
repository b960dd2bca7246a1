"""The vocabulary of results: dimension names, quantities with their units, status codes.

The axis labels of figures, the attributes of stored variables and the summary table of a run all come from here, so
that each thing has one name everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal, TypeVar

from sweep.base.registry import Entry

SCHEMA: Final = 2  # layout of the store; raised whenever an older reader would misread a newer store
UNDIGESTED: Final = (1,)  # older layouts, without digests, that can still be read
READABLE: Final = (*UNDIGESTED, SCHEMA)

Better = Literal["lower", "higher"] | None  # which values of a metric are better; None where none are
DIRECTIONS: Final = ("lower", "higher")


@dataclass(frozen=True)
class Quantity:
    """A measured or swept number: its name, the dimensions it has beyond those of the sweep, and units.

    Args:
        name: the variable's name in the Dataset.
        dims: dimensions beyond the swept ones, in order, without the time dimension.
        units: units as printed on an axis; "1" for a pure number.
        long_name: the words on an axis or a colour bar.
        better: which values are better. None: no value is best, so nothing is chosen and no lane is stopped by it.
    """

    name: str
    dims: tuple[str, ...] = ()
    units: str = "1"
    long_name: str = ""
    better: Better = None

    def attributes(self) -> dict[str, str]:
        """Return the attributes of a stored variable, as the CF conventions name them, and `better` where it is set."""
        attributes = {"units": self.units, "long_name": self.long_name or words(self.name)}
        return attributes | ({"better": self.better} if self.better else {})


@dataclass(frozen=True, kw_only=True)
class BuiltIn(Quantity, Entry):
    """A metric that is not a page's own; its function is of a `sweep.Moment`.

    Args:
        needs: what a page must have for it to be measured (`Experiment.has`), such as "x".
        on_request: whether it is recorded only if a page names it.
    """

    needs: tuple[str, ...] = ()
    on_request: bool = False


def words(name: object) -> str:
    """Write a variable's or a dimension's name in words: "learning rate"."""
    return str(name).replace("_", " ")


def long_name(name: object, attributes: Mapping[Any, Any]) -> str:
    """Return the words for a variable: its long name, or else its name in words."""
    return str(attributes.get("long_name") or words(name))


def better(name: object, attributes: Mapping[Any, Any]) -> Better:
    """Tell which values of a variable are better: by its attribute `better`, in older stores by its name."""
    stated = attributes.get("better")
    if stated in DIRECTIONS:
        return stated
    return METRICS[str(name)].better if str(name) in METRICS else None


def worst(better: Better) -> float:
    """Return the value that a lost lane counts as: the worst possible one.

    For a metric without a best value it is +inf as well. This is no judgement: it only makes sure that a lost lane is
    counted and not dropped silently.
    """
    return -inf if better == "higher" else inf


_Quantity = TypeVar("_Quantity", bound=Quantity)


def _by_name(quantities: tuple[_Quantity, ...]) -> dict[str, _Quantity]:
    return {quantity.name: quantity for quantity in quantities}


SEEDS: Final = ("seed", "data_seed")  # the knobs that differ between repeats of one setting

# Dimensions of results beyond the swept ones. A swept knob may not take one of these names.
DIMENSIONS: Final = _by_name(
    (
        Quantity("lane", long_name="lane (one training)"),
        Quantity("epoch", units="epochs", long_name="epoch"),
        Quantity("frequency", units="cycles per unit of x", long_name="frequency"),
        Quantity("x", long_name="x"),
        Quantity("layer", long_name="layer (0 is next to the input)"),
        Quantity("x1", long_name="x1"),
        Quantity("x2", long_name="x2"),
        Quantity("output", long_name="output"),
        Quantity("sample", long_name="row of the data"),
        Quantity("feature", long_name="feature"),
        Quantity("snapshot_epoch", units="epochs", long_name="epoch of the snapshot"),
        Quantity("point", long_name="combination of knobs"),
    )
)

# Files and folders in a store besides its arrays, whose names no array may have.
STORE_FILES: Final = frozenset({"checkpoint", "digests", "figures", "heartbeat", "lock"})
# What can be recorded; a page may add its own.
METRICS: Final = _by_name(
    (
        BuiltIn("sweep.engine.regression.metrics:loss", "loss", long_name="training loss", better="lower"),
        BuiltIn(
            "sweep.engine.regression.metrics:clean_loss",
            "clean_loss",
            long_name="loss against the noiseless target",
            better="lower",
            needs=("clean",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:validation_loss",
            "validation_loss",
            long_name="validation loss",
            better="lower",
            needs=("validation",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:spectral_error",
            "spectral_error",
            ("frequency",),
            long_name="relative spectral error |f_k - h_k| / |f_k|",
            better="lower",
            needs=("frequency",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:spatial_error",
            "spatial_error",
            ("x",),
            long_name="absolute error |f(x) - h(x)|",
            better="lower",
            needs=("x",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:extrapolation_error",
            "extrapolation_error",
            long_name="root mean square error beyond the training range",
            better="lower",
            needs=("x", "beyond"),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:accuracy",
            "accuracy",
            long_name="share of points classified correctly",
            better="higher",
            needs=("classes",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:validation_accuracy",
            "validation_accuracy",
            long_name="share of validation points classified correctly",
            better="higher",
            needs=("classes", "validation"),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:gradient_norm",
            "gradient_norm",
            ("layer",),
            long_name="gradient norm per layer",
        ),
        BuiltIn("sweep.engine.regression.metrics:parameter_norm", "parameter_norm", long_name="parameter norm"),
        BuiltIn(
            "sweep.engine.regression.metrics:average_loss",
            "average_loss",
            long_name="training loss of averaged parameters",
            better="lower",
            needs=("average",),
        ),
        BuiltIn(
            "sweep.engine.regression.metrics:average_accuracy",
            "average_accuracy",
            long_name="share of points that averaged parameters classify correctly",
            better="higher",
            needs=("average", "classes"),
        ),
        BuiltIn(
            "sweep.engine.regression.curvature:sharpness",
            "sharpness",
            long_name="sharpness (largest eigenvalue of the loss Hessian)",
            on_request=True,
        ),
    )
)

# What a store holds in addition to the metrics.
RECORDED: Final = _by_name(
    (
        Quantity("prediction", ("x",), long_name="network output h(x)"),
        Quantity("target", ("x",), long_name="noiseless target f(x)"),
        Quantity("sample_prediction", ("sample",), long_name="network output at the row"),
        Quantity("is_validation", ("sample",), long_name="1 for rows of validation, 0 for those of training"),
        Quantity("input_mean", ("feature",), long_name="mean by which inputs are standardised"),
        Quantity("input_deviation", ("feature",), long_name="deviation by which inputs are standardised"),
        Quantity("target_mean", long_name="mean by which targets are standardised"),
        Quantity("target_deviation", long_name="deviation by which targets are standardised"),
        Quantity("sample_target", ("sample",), long_name="target of the row"),
        Quantity("sample_input", ("sample", "feature"), long_name="input of the row"),
        Quantity("status", long_name="how the lane's training ended"),
        Quantity("first_bad_epoch", units="epochs", long_name="epoch at which the lane stopped being finite"),
        Quantity("stop_epoch", units="epochs", long_name="epoch at which the page's rule ended the lane"),
        Quantity("step", units="optimiser steps", long_name="optimiser steps taken"),
    )
)

# What a store may hold of the networks themselves: the array of each, and the dimension along which its entries lie.
# It is no part of the results, which only the labelled curves are (`results.networks`).
PARAMETER: Final = "parameter"
STATE_BYTE: Final = "state_byte"
NETWORK_DIMS: Final = (PARAMETER, STATE_BYTE)
NETWORKS: Final = _by_name(
    (
        Quantity("network", long_name="number of the lane's network in the attribute networks"),
        Quantity("parameters", (PARAMETER,), long_name="parameters of the trained network, array by array"),
        Quantity("training_state", (STATE_BYTE,), long_name="bytes of the state of the training at its end"),
    )
)

# Names that a page can't give to anything of its own. A metric that is recorded only on request may have the name of a
# page's own metric or parameter; then this page can't record it.
RESERVED: Final = frozenset(
    {
        *DIMENSIONS,
        *RECORDED,
        *NETWORKS,
        *NETWORK_DIMS,
        *STORE_FILES,
        *(name for name, each in METRICS.items() if not each.on_request),
    }
)

# Status of a lane, stored as int8 with these as its flag meanings.
STATUS: Final = ("not_run", "running", "finished", "diverged", "reached", "cut", "failed", "plateaued")
NOT_RUN, RUNNING, FINISHED, DIVERGED, REACHED, CUT, FAILED, PLATEAUED = range(len(STATUS))
CARRIED: Final = (REACHED, PLATEAUED)  # ended by the page's rule, and carry their last values forward
STOPPED: Final = (*CARRIED, CUT)  # ended by the page's rule
ENDED: Final = (FINISHED, DIVERGED, *STOPPED)  # nothing is left to train
LOST: Final = (DIVERGED, FAILED, CUT)  # counted as the worst possible value
WITHOUT_DATA: Final = (NOT_RUN, RUNNING)


def flag_attributes(meanings: tuple[str, ...]) -> dict[str, object]:
    """Return the CF attributes of a variable that stores words as integer codes 0, 1, 2, ..."""
    return {"flag_values": list(range(len(meanings))), "flag_meanings": " ".join(meanings)}
