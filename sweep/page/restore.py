"""Rebuilding experiments from their descriptions in stores, if they use no code of their pages."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import MappingProxyType
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.registry import Entry
from sweep.page import axes, specs
from sweep.page.experiment import Experiment
from sweep.page.specs import record
from sweep.page.specs.loss import LOSSES
from sweep.page.specs.values import Values

KINDS: Final = {
    name: kind
    for module in (specs, axes, record)
    for name, kind in vars(module).items()
    if inspect.isclass(kind) and is_dataclass(kind)
}
STOPS: Final = ("Target", "Plateau", "Halving")
CODE: Final = ("function", "build", "begin", "step", "measure")  # fields of specs that hold code of the page
StandIns = Mapping[str, Callable[..., Any]]  # functions in place of the page's code, by the kind of the spec


def restore(description: Mapping[str, Any], stand_ins: StandIns = MappingProxyType({})) -> Experiment:
    """Rebuild an experiment from its description (`identity.describe`), without figures and claims.

    Args:
        description: the description.
        stand_ins: functions that stand for the page's code.

    Raises:
        SweepError: if it needs functions of its page, or if this version of sweep can't rebuild it.
    """
    fields = {name: value for name, value in description.items() if name not in ("kind", "figures", "claims")}
    try:
        return Experiment(**{name: _make(value, stand_ins) for name, value in fields.items()})
    except (TypeError, KeyError, ValueError) as error:
        raise SweepError(f"this version can't rebuild the experiment that the store describes: {error}") from error


def _no_loss(h: Any, _: Any, **__: Any) -> Any:
    return 0 * h.reshape(len(h), -1)[:, 0]


def _no_target(*_: Any, **__: Any) -> float:
    return 0.0


def _no_optimizer(**_: Any) -> Any:
    return Entry("sweep.engine.regression.optimizers:resting").load()()


STAND_INS: Final = {
    "FromFunction": _no_target,
    "FromOptax": _no_optimizer,
    "Loss": _no_loss,
    "Values": Values.of_description,
}


def restore_for_prediction(description: Mapping[str, Any]) -> Experiment:
    """Rebuild an experiment whose lanes predict as those of the one described, if the network itself is not code.

    No prediction depends on the target, on loss, optimiser and metrics or on the rule that ends lanes, given the
    parameters: so these may be code of the page. Rows of data are stood for by others, since no store holds them; the
    scales by which they were standardised are stored.

    Raises:
        SweepError: if its network is code of the page, or if this version of sweep can't rebuild it.
    """
    changed: dict[str, Any] = {**description, "stop": None}
    if "record" in changed:
        changed["record"] = {**changed["record"], "own": []}
    return restore(changed, STAND_INS)


def restore_axes(description: Mapping[str, Any]) -> axes.Axes:
    """Rebuild the axes of an experiment from its description: they are numbers and texts, and never code.

    Raises:
        SweepError: if this version of sweep can't rebuild them.
    """
    try:
        return _make(description["axes"], MappingProxyType({}))
    except (TypeError, KeyError, ValueError) as error:
        raise SweepError(f"this version can't rebuild the axes that the store describes: {error}") from error


def _make(value: Any, stand_ins: StandIns) -> Any:
    """Rebuild a value from its description: specs from their fields, tuples from lists."""
    if isinstance(value, list):
        return tuple(_make(each, stand_ins) for each in value)
    if not isinstance(value, Mapping):
        return value
    kind = str(value.get("kind"))
    extra = ("kind", "better") if kind in STOPS else ("kind",)  # the metric says which is better
    fields = {name: _make(each, stand_ins) for name, each in value.items() if name not in extra}
    if "kind" not in value:
        return fields
    if kind == "Values":
        if kind in stand_ins:
            return stand_ins[kind](value)
        raise SweepError("the experiment that the store describes uses data of its page, which no store holds")
    code = [name for name in CODE if name in fields and not (kind == "Loss" and fields["function"] in LOSSES)]
    if code and kind in stand_ins:
        fields |= dict.fromkeys(code, stand_ins[kind])
    elif code:
        raise SweepError(f"the experiment that the store describes uses code of its page, in a {value['kind']}")
    return KINDS[str(kind)](**fields)
