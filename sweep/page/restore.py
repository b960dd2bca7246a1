"""Rebuilding experiments from their descriptions in stores, if they use no code of their pages."""

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.page import axes, specs
from sweep.page.experiment import Experiment
from sweep.page.specs import record
from sweep.page.specs.loss import LOSSES

KINDS: Final = {
    name: kind
    for module in (specs, axes, record)
    for name, kind in vars(module).items()
    if inspect.isclass(kind) and is_dataclass(kind)
}
STOPS: Final = ("Target", "Plateau", "Halving")
CODE: Final = ("function", "build")  # fields of specs that hold code of the page


def restore(description: Mapping[str, Any]) -> Experiment:
    """Rebuild an experiment from its description (`identity.describe`), without figures and claims.

    Raises:
        SweepError: if it needs functions of its page, or if this version of sweep can't rebuild it.
    """
    fields = {name: value for name, value in description.items() if name not in ("kind", "figures", "claims")}
    try:
        return Experiment(**{name: _make(value) for name, value in fields.items()})
    except (TypeError, KeyError, ValueError) as error:
        raise SweepError(f"this version can't rebuild the experiment that the store describes: {error}") from error


def _make(value: Any) -> Any:
    """Rebuild a value from its description: specs from their fields, tuples from lists."""
    if isinstance(value, list):
        return tuple(map(_make, value))
    if not isinstance(value, Mapping):
        return value
    extra = ("kind", "better") if value.get("kind") in STOPS else ("kind",)  # the metric says which is better
    fields = {name: _make(each) for name, each in value.items() if name not in extra}
    if "kind" not in value:
        return fields
    if value["kind"] == "Values":
        raise SweepError("the experiment that the store describes uses data of its page, which no store holds")
    if any(name in fields for name in CODE) and not (value["kind"] == "Loss" and fields["function"] in LOSSES):
        raise SweepError(f"the experiment that the store describes uses code of its page, in a {value['kind']}")
    return KINDS[value["kind"]](**fields)
