"""Lanes of two sweeps that are the same trainings: compared one by one with what a plain dictionary finds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sweep import MLP, Experiment, Optimizer, SumOfSines, grid, table, zipped
from sweep.base.errors import SweepError
from sweep.page.axes import Axes, join
from sweep.page.identity import differing_fields, page_attributes
from sweep.page.matching import NOWHERE, earlier, lacking, match
from sweep.page.resolve import resolve

BASE = Experiment(question="?", task=SumOfSines(points=8), model=MLP(width=4, depth=2), axes=Axes(), epochs=3)
UNION = grid(optimizer=("sgd",), momentum=(0.0, 0.9)) + grid(optimizer=("adam",), learning_rate=(1e-3, 1e-2))


def resolved(axes: Axes, **changes):
    return resolve(replace(BASE, axes=axes, **changes))


def plainly(new: dict[str, list], old: dict[str, list]) -> list[int]:
    """Find rows of one table in another by a dictionary."""
    rows = [tuple(row) for row in zip(*new.values(), strict=True)]
    return [rows.index(row) if row in rows else NOWHERE for row in zip(*(old[name] for name in new), strict=True)]


def values(axes: Axes, names: tuple[str, ...], defaults: dict) -> dict[str, list]:
    """Give what each lane resolves to, from the axes and the defaults alone."""
    sizes = [len(factor.rows) for factor in axes.factors]
    found: dict[str, list] = {name: [] for name in names}
    for place in np.ndindex(*sizes):
        own = dict(defaults)
        for factor, at in zip(axes.factors, place, strict=True):
            own |= {name: each for name, each in zip(factor.knobs, factor.rows[at], strict=True) if each is not None}
        for name in names:
            found[name].append(own[name])
    return found


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (grid(seed=range(5), width=(4, 8)), grid(width=(8, 4), seed=(4, 0, 7))),
        (grid(seed=range(3), learning_rate=(1e-3, 1e-2)), grid(seed=(2, 1))),  # at the page's own rate
        (
            zipped(seed=(3, 1), data_seed=(1, 3)) * grid(activation=("relu", "tanh")),
            zipped(seed=(1, 3), data_seed=(3, 0)),
        ),
        (table({"seed": [5, 1, 2], "depth": [1, None, 3]}), grid(depth=(2, 1), seed=(1, 5))),
        (UNION * grid(seed=range(2)), grid(seed=(1,)) * UNION),
    ],
)
def test_lanes_are_found_by_what_they_resolve_to(new: Axes, old: Axes) -> None:
    names = tuple(sorted({*new.knobs(), *old.knobs()}))
    defaults = {"seed": 0, "data_seed": 0, "width": 4, "depth": 2, "activation": "tanh", "learning_rate": 1e-3}
    defaults |= {"optimizer": "adam", "momentum": 0.0}
    assert BASE.optimizer.knob_value("learning_rate") == defaults["learning_rate"]
    assert (BASE.model.depth, BASE.model.activation) == (defaults["depth"], defaults["activation"])
    expected = plainly(values(new, names, defaults), values(old, names, defaults))
    assert match(resolved(new), resolved(old)).tolist() == expected


def test_lanes_that_are_several_times_in_a_sweep_are_found_one_by_one() -> None:
    twice = table({"seed": [1, 2, 1], "learning_rate": [1e-3, 1e-3, None]})  # 1e-3 is what the page has
    assert match(resolved(twice), resolved(grid(seed=(2, 1)))).tolist() == [1, 0]
    assert match(resolved(twice), resolved(twice)).tolist() == [0, 1, 2]
    assert match(resolved(grid(seed=(2, 1))), resolved(twice)).tolist() == [1, 0, NOWHERE]


def test_what_a_page_lacks_is_named() -> None:
    new, old = resolved(grid(seed=range(3))), resolved(grid(seed=range(1, 9)))
    assert lacking(new, old, match(new, old)) == "seed 3, 4, 5, 6, ..."
    new, old = resolved(table({"seed": [0, 1], "width": [4, 8]})), resolved(grid(seed=(0, 1), width=(4, 8)))
    assert lacking(new, old, match(new, old)) == "2 combinations"
    assert lacking(old, new, match(old, new)) == ""
    new, old = resolved(UNION), resolved(UNION + grid(optimizer=("lion",)))  # which has gaps, and another word
    assert lacking(new, old, match(new, old)) == "optimizer lion"


def test_the_experiment_of_a_store_is_made_from_the_page() -> None:
    stored = replace(BASE, axes=grid(seed=(1, 2)), epochs=9, optimizer=Optimizer("adam", learning_rate=0.5))
    page = replace(BASE, axes=grid(seed=range(4), learning_rate=(0.5, 0.1), hidden=((4, 4),)), model=MLP(hidden=(3,)))
    held = page_attributes(stored)
    described = json.loads(held["experiment"])
    before = earlier(replace(page, model=BASE.model, axes=grid(seed=range(4), learning_rate=(0.5,))), described)
    assert differing_fields(before, held) == ""
    assert before.epochs == 9
    assert differing_fields(earlier(replace(page, axes=grid(seed=(1,))), described), held) == "model, optimizer"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (grid(seed=range(4)), grid(seed=range(2, 6)), grid(seed=range(6))),
        (grid(seed=(4, 5)), grid(seed=(0, 1)), grid(seed=(0, 1, 4, 5))),  # both increase
        (grid(seed=(5, 4)), grid(seed=(0, 1)), grid(seed=(5, 4, 0, 1))),
        (grid(seed=(0,), width=(4,)), grid(width=(8,), seed=(1,)), grid(seed=(0, 1), width=(4, 8))),
        (zipped(seed=(0,), data_seed=(7,)), zipped(data_seed=(9,), seed=(1,)), zipped(seed=(0, 1), data_seed=(7, 9))),
        (  # no longer rows that the seed identifies
            zipped(seed=(0, 1), width=(4, 8)),
            zipped(seed=(0, 1), width=(5, 9)),
            table({"seed": [0, 0, 1, 1], "width": [4, 5, 8, 9]}),
        ),
        (grid(seed=(0,)), grid(width=(8,)), grid(seed=(0,), width=(8,))),
        (grid(activation=("tanh",)), grid(activation=("relu",)), grid(activation=("relu", "tanh"))),
    ],
)
def test_the_axes_of_two_sweeps_are_joined(one: Axes, other: Axes, both: Axes) -> None:
    assert join(one, other) == both
    assert join(both, one) == both


def test_axes_that_make_no_grid_together_are_refused() -> None:
    with pytest.raises(SweepError, match="one sweeps data_seed, seed with other knobs than the other"):
        join(zipped(seed=(0,), data_seed=(0,)), zipped(seed=(0,), data_seed=(0,), width=(4,)))
