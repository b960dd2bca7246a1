"""Zooming in: a rectangle of a page's grid with more values along some axes, as an experiment of its own."""

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
from sweep.page.load import VARIED, in_words

MOST: Final = 10_000  # values of an axis
SAME: Final = 1e-9  # relative; a value that is one of the parent's but for rounding is that one, to the bit


def zoom_into(parent: Experiment, wanted: Mapping[str, str]) -> Experiment:
    """Give the experiment that looks closer at a rectangle of another one's grid.

    Values are spaced by ratios where the parent's axis is, by differences elsewhere; whole numbers are rounded and
    taken once. Where a value is one of the parent's it is taken from there, so that its lanes, whose random numbers
    come from their coordinates, train to the same bits. All other axes stay.

    Args:
        parent: the page, or a variation of it.
        wanted: for each knob to look closer at "low:high:count", such as "1e-3:1e-2:17", ends included.

    Returns:
        The experiment, named for the parent and the ranges: "page@zoom-learning_rate-0.001-0.01-17".

    Raises:
        SweepError: for a knob that has no axis of numbers of its own, or ends or a count that make no range in it.
    """
    if not wanted:
        raise SweepError("--zoom takes knob=LOW:HIGH:COUNT, several with commas between them, got nothing")
    axes = parent.axes
    for name, text in wanted.items():
        factor, number = _axis(parent, name), parent.knobs()[name][1].kind
        values = _whole(name, text, _values(name, text, factor)) if number is int else _values(name, text, factor)
        finer = replace(factor, rows=tuple((value,) for value in values))
        axes = Axes(tuple(finer if each is factor else each for each in axes.factors))
    child = replace(parent, axes=axes)
    ranges = {name: _range(name, wanted[name]) for name in parent.axes.knobs() if name in wanted}
    return replace(child, name=f"{parent.name}{VARIED}zoom-{in_words(ranges, fingerprint(child)[:8])}")


def parent_attribute(parent: Experiment, wanted: Mapping[str, str], path: str) -> str:
    """Say in a store what it is a part of: the attribute `parent`, JSON.

    Args:
        parent: the experiment that was zoomed into.
        wanted: as `zoom_into` takes it.
        path: of the parent's store, seen from the child's.
    """
    return json.dumps({"path": path, "fingerprint": fingerprint(parent), "zoom": dict(wanted)})


def _axis(parent: Experiment, name: str) -> Factor:
    """Find the factor that a knob has for itself."""
    swept = parent.axes.knobs()
    if name not in swept:
        if name in parent.knobs():
            raise SweepError(f"can't zoom into {name!r}, which is not swept: --axes.{name.replace('_', '-')} sweeps it")
        raise unknown_name("axis to zoom into", name, swept)
    if name in SEEDS:
        raise SweepError(f"can't zoom into {name!r}: seeds are no continuum, between two of them there is nothing")
    if parent.knobs()[name][1].kind is str:
        raise SweepError(f"can't zoom into {name!r}: it holds names, between which there is nothing")
    factor = next(factor for factor in parent.axes.factors if name in factor.knobs)
    if len(factor.knobs) > 1:
        raise SweepError(f"can't zoom into {name!r}: it has no axis of its own, but one with {', '.join(factor.knobs)}")
    return factor


def _values(name: str, text: str, factor: Factor) -> list[Value]:
    """Space the values that a text asks for as the parent's are."""
    low, high, count = _range(name, text)
    own = np.array(sorted(float(value) for value in factor.column(name) if value is not None))
    if not is_spaced_by_ratios(own):
        spaced = np.linspace(low, high, count)
    elif low > 0:
        spaced = np.geomspace(low, high, count)
    else:
        raise SweepError(f"{name} is spaced by ratios here, so a zoom must begin above 0, got {low:g}")
    nearest = own[np.abs(own - spaced[:, None]).argmin(1)]
    return np.where(np.isclose(nearest, spaced, rtol=SAME, atol=0), nearest, spaced).tolist()


def _range(name: str, text: str) -> tuple[float, float, int]:
    """Read "low:high:count"."""
    try:
        ends_and_count = text.split(":")
        low, high = map(float, ends_and_count[:-1])
        count = int(ends_and_count[-1])
    except ValueError:
        raise SweepError(f"--zoom takes {name}=LOW:HIGH:COUNT, two numbers and a count, got {text!r}") from None
    if not (isfinite(low) and isfinite(high) and low < high):
        raise SweepError(f"--zoom {name} must rise from its first end to its second, got {low:g}:{high:g}")
    if not 2 <= count <= MOST:
        raise SweepError(f"--zoom {name} takes 2 to {MOST} values, got {count}")
    return low, high, count


def _whole(name: str, text: str, values: list[Value]) -> list[Value]:
    """Round to whole numbers, each once."""
    rounded = list(dict.fromkeys(round(float(value)) for value in values))
    if len(rounded) < 2:
        raise SweepError(f"--zoom {name} needs two whole numbers between its ends, got {text}")
    return [*rounded]
