"""Zooming in: a part of a page's grid with more values along some axes, as a new experiment."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Final

import numpy as np

from sweep.base.errors import SweepError, unknown_name
from sweep.base.labels import SEEDS
from sweep.base.spacing import is_spaced_by_ratios
from sweep.page.axes import Axes, Factor, Value
from sweep.page.experiment import Experiment
from sweep.page.identity import fingerprint
from sweep.page.load import VARIATION, describe_changes

MAX_VALUES: Final = 10_000  # values of an axis
ROUNDING: Final = 1e-9  # relative difference within which the parent's value is taken, so that bits agree


def zoom_into(parent: Experiment, wanted: Mapping[str, str]) -> Experiment:
    """Return the experiment that has more values in a part of another experiment's grid.

    Values are spaced by ratios if those of the parent's axis are, else by differences; for integer knobs they are
    rounded, without repeats. A value that agrees with one of the parent's up to rounding is replaced by it, so that its
    lanes train to the same bits. All other axes are unchanged.

    Args:
        parent: the page, or a variation of it.
        wanted: "low:high:count" for each knob to zoom into, such as "1e-3:1e-2:17", ends included.

    Returns:
        The experiment, named by the parent and the ranges: "page@zoom-learning_rate-0.001-0.01-17".

    Raises:
        SweepError: for a knob without a numeric axis that it shares with no other knob, or for an invalid range.
    """
    if not wanted:
        raise SweepError("--zoom takes knob=LOW:HIGH:COUNT, several separated by commas, got nothing")
    axes = parent.axes
    for name, text in wanted.items():
        factor, number = _axis(parent, name), parent.knobs()[name][1].kind
        values = _values(name, text, factor)
        values = _round_values(name, text, values) if number is int else values
        finer = replace(factor, rows=tuple((value,) for value in values))
        axes = Axes(tuple(finer if each is factor else each for each in axes.factors))
    child = replace(parent, axes=axes)
    ranges = {name: _range(name, wanted[name]) for name in parent.axes.knobs() if name in wanted}
    return replace(child, name=f"{parent.name}{VARIATION}zoom-{describe_changes(ranges, fingerprint(child)[:8])}")


def parent_attribute(parent: Experiment, wanted: Mapping[str, str], path: str) -> str:
    """Return the attribute `parent` of the store of a zoomed experiment, as JSON.

    Args:
        parent: the experiment that was zoomed into.
        wanted: as `zoom_into` takes it.
        path: path of the parent's store, relative to the child's.
    """
    return json.dumps({"path": path, "fingerprint": fingerprint(parent), "zoom": dict(wanted)})


def _axis(parent: Experiment, name: str) -> Factor:
    """Find the factor of a knob, which must have no other knob."""
    swept = parent.axes.knobs()
    if name not in swept:
        if name in parent.knobs():
            raise SweepError(f"can't zoom into {name!r}, which is not swept: --axes.{name.replace('_', '-')} sweeps it")
        raise unknown_name("axis to zoom into", name, swept)
    if name in SEEDS:
        raise SweepError(f"can't zoom into {name!r}: there are no values between two seeds")
    if parent.knobs()[name][1].kind is str:
        raise SweepError(f"can't zoom into {name!r}: there are no values between two names")
    factor = next(factor for factor in parent.axes.factors if name in factor.knobs)
    if len(factor.knobs) > 1:
        raise SweepError(f"can't zoom into {name!r}: it shares one axis with others ({', '.join(factor.knobs)})")
    return factor


def _values(name: str, text: str, factor: Factor) -> list[Value]:
    """Return the values of a range, spaced like those of the parent's axis."""
    low, high, count = _range(name, text)
    own = np.array(sorted(float(value) for value in factor.column(name) if value is not None))
    if not is_spaced_by_ratios(own):
        spaced = np.linspace(low, high, count)
    elif low > 0:
        spaced = np.geomspace(low, high, count)
    else:
        raise SweepError(f"--zoom {name} must begin above 0, as its values are spaced by ratios, got {low:g}")
    nearest = own[np.abs(own - spaced[:, None]).argmin(1)]
    return np.where(np.isclose(nearest, spaced, rtol=ROUNDING, atol=0), nearest, spaced).tolist()


def _range(name: str, text: str) -> tuple[float, float, int]:
    """Parse "low:high:count"."""
    try:
        ends_and_count = text.split(":")
        low, high = map(float, ends_and_count[:-1])
        count = int(ends_and_count[-1])
    except ValueError:
        raise SweepError(f"--zoom takes {name}=LOW:HIGH:COUNT, two numbers and a count, got {text!r}") from None
    if not (isfinite(low) and isfinite(high) and low < high):
        raise SweepError(f"--zoom {name} must have LOW below HIGH, both finite, got {low:g}:{high:g}")
    if not 2 <= count <= MAX_VALUES:
        raise SweepError(f"--zoom {name} takes 2 to {MAX_VALUES} values, got {count}")
    return low, high, count


def _round_values(name: str, text: str, values: list[Value]) -> list[Value]:
    """Round to integers, without repeats."""
    rounded = list(dict.fromkeys(round(float(value)) for value in values))
    if len(rounded) < 2:
        raise SweepError(f"--zoom {name} needs two whole numbers between its ends, got {text}")
    return [*rounded]
