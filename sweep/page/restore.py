"""Experiments made again of what a store says of them, as far as that needs no code of their pages."""

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.page import axes, specs
from sweep.page.experiment import Experiment
from sweep.page.specs import record

KINDS: Final = {
    name: kind
    for module in (specs, axes, record)
    for name, kind in vars(module).items()
    if inspect.isclass(kind) and is_dataclass(kind)
}
STOPS: Final = ("Target", "Halving")
CODE: Final = ("function", "build")  # fields of specs that hold code of the page's


def restore(description: Mapping[str, Any]) -> Experiment:
    """Make an experiment of its description, as `identity.describe` gives it, without figures and claims.

    Raises:
        SweepError: for one that needs functions of its page, or that this version of sweep can't make.
    """
    fields = {name: value for name, value in description.items() if name not in ("kind", "figures", "claims")}
    try:
        return Experiment(**{name: _make(value) for name, value in fields.items()})
    except (TypeError, KeyError, ValueError) as error:
        raise SweepError(f"the experiment that the store describes can't be made by this version: {error}") from error


def _make(value: Any) -> Any:
    """Make a value of its description: specs of their fields, tuples of lists."""
    if isinstance(value, list):
        return tuple(map(_make, value))
    if not isinstance(value, Mapping):
        return value
    told = ("kind", "better") if value.get("kind") in STOPS else ("kind",)  # which is better is said by the metric
    fields = {name: _make(each) for name, each in value.items() if name not in told}
    if "kind" not in value:
        return fields
    if any(name in fields for name in CODE):
        raise SweepError(f"the experiment that the store describes has code of its page, in a {value['kind']}")
    return KINDS[value["kind"]](**fields)
