"""Choosing a lane by its knobs: exactly one lane, or an error that says what is missing."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import tiny

from sweep.axes import grid, log_uniform, sampled, zipped
from sweep.base.errors import SweepError
from sweep.page.resolve import resolve
from sweep.results.dataset import lane_table
from sweep.results.lane_choice import choose, configuration
from sweep.results.skeleton import skeleton

PRODUCT = zipped(seed=(3, 1, 2), data_seed=(0, 5, 9)) * grid(learning_rate=(1e-3, 0.1), activation=("tanh", "relu"))
UNION = (grid(optimizer=("adam",), learning_rate=(1e-3, 1e-2)) + grid(optimizer=("sgd",), momentum=(0.0, 0.9))) * grid(
    seed=(0, 1)
)
SAMPLED = grid(seed=(0, 1)) * sampled(5, learning_rate=log_uniform(1e-4, 1e-1), initial_scale=log_uniform(0.1, 0.9))


def table(axes):
    """Lay a sweep out as in a store, in another order and with an empty place."""
    experiment = replace(tiny(), axes=axes)
    columns = resolve(experiment).columns
    order = np.array([*range(axes.size())[::-1], -1])
    flat = skeleton(
        experiment, columns, order=order, epochs=np.array([0.0, 1.0]), steps=None, snapshots=np.array([], int),
        quantities=[], constants=[], sizes={},
    )  # fmt: skip
    return lane_table(flat)


@pytest.mark.parametrize(
    ("axes", "wanted", "lane"),
    [
        (PRODUCT, {"seed": "1", "learning_rate": "0.1", "activation": "tanh"}, 6),
        (PRODUCT, {"data_seed": "9", "learning_rate": "1e-3", "activation": "relu"}, 9),
        (PRODUCT, {"seed": "3.0", "data_seed": "0", "learning_rate": "0.0010000004", "activation": "tanh"}, 0),
        (UNION, {"seed": "1", "learning_rate": "1e-2", "optimizer": "adam"}, 3),
        (UNION, {"seed": "0", "momentum": "0.9"}, 6),
        (UNION, {"seed": "0", "momentum": "0"}, 4),
        (UNION, {"seed": "1", "point": "3"}, 7),
        (UNION, {"seed": "1", "momentum": "nan", "learning_rate": "0.001"}, 1),
        (grid(seed=(7,)), {}, 0),
    ],
)
def test_knobs_that_distinguish_a_lane_from_all_others_name_it(axes, wanted, lane) -> None:
    assert choose(table(axes), wanted) == lane


def test_every_lane_is_named_by_its_configuration() -> None:
    for axes in (PRODUCT, UNION, SAMPLED):
        there = table(axes)
        for lane in range(axes.size()):
            told = configuration(there, lane)
            assert choose(there, told) == lane
            assert "nan" not in told.values()


def test_a_sampled_value_needs_seven_digits_and_no_fewer() -> None:
    there = table(SAMPLED)
    value = SAMPLED.values("learning_rate")[3]
    assert choose(there, {"seed": "1", "learning_rate": f"{value:.7g}"}) == 8
    with pytest.raises(SweepError, match=f"no lane has learning_rate=.*nearest are .*{value!r}"):
        choose(there, {"seed": "1", "learning_rate": repr(value * (1 + 2e-6))})


@pytest.mark.parametrize(
    ("axes", "wanted", "told"),
    [
        (PRODUCT, {"sede": "1"}, "unknown swept knob 'sede': did you mean 'seed'?"),
        (PRODUCT, {"seed": "one"}, "seed must be a number, got 'one': its values are 1, 2, 3"),
        (PRODUCT, {"activation": "tahn"}, "unknown activation 'tahn': did you mean 'tanh'?"),
        (PRODUCT, {"learning_rate": "0.002"}, "no lane has learning_rate=0.002: nearest are 0.001, 0.1"),
        (PRODUCT, {"seed": "1", "data_seed": "0"}, "no lane with seed=1 has data_seed=0: with seed=1 it is 5"),
        (PRODUCT, {"seed": "1", "activation": "tanh"}, "2 lanes have seed=1,activation=tanh: name more knobs; "
         "learning_rate is 0.001, 0.1"),
        (PRODUCT, {}, "there are 12 lanes: name more knobs; seed is 1, 2, 3; data_seed is 0, 5, 9; learning_rate is "
         "0.001, 0.1; activation is relu, tanh"),
        (UNION, {"seed": "0", "point": "4"}, "no lane has point=4: nearest are 2, 3"),
        (UNION, {"optimizer": "adam", "momentum": "0"}, "no lane with optimizer=adam has momentum=0: with "
         "optimizer=adam it is not set"),
        (grid(seed=range(20)), {}, "there are 20 lanes: name more knobs; seed is 0, 1, 2, 3, 4, 5, ... (20 values)"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_possible_values(axes, wanted, told) -> None:
    with pytest.raises(SweepError) as refused:
        choose(table(axes), wanted)
    assert str(refused.value) == told
