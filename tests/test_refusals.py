"""What would give wrong numbers, or fail only later, is refused when it is written, in one line."""

from collections.abc import Callable

import pytest
from helpers import tiny

from sweep.axes import grid, zipped
from sweep.errors import SweepError
from sweep.specs import Figure, FromFunction, Linear, Metric, Optimizer, Record, Sine, SumOfSines

REFUSALS: dict[str, Callable[[], object]] = {
    "parameter 'learning_rate' of the target function has the name of a knob: rename it": lambda: tiny(
        task=FromFunction(function=abs, parameters={"learning_rate": 5})
    ),
    "parameter 'width' of the target function has the name of a knob: rename it": lambda: tiny(
        task=FromFunction(function=abs, parameters={"width": 2})
    ),
    "parameter 'seed' of the target function has the name of a knob: rename it": lambda: tiny(
        task=FromFunction(function=abs, parameters={"seed": 2})
    ),
    "parameter 'a' of the target function must be a finite number, got nan": lambda: FromFunction(
        function=abs, parameters={"a": float("nan")}
    ),
    "metric 'learning_rate' of the page's own has the name of a knob: rename it": lambda: tiny(
        record=Record(own=(Metric("learning_rate", abs),))
    ),
    "metric 'sharpness' of the page's own has the name of a knob: rename it": lambda: tiny(
        task=FromFunction(function=abs, parameters={"sharpness": 1.0}), record=Record(own=(Metric("sharpness", abs),))
    ),
    "metric 'own' states the dimension 'frequency', which this task does not have": lambda: tiny(
        task=Sine(), record=Record(own=(Metric("own", abs, dims=("frequency",)),))
    ),
    "metric 'own' states the dimension 'x', which this task does not have": lambda: tiny(
        task=Linear(slopes=(1.0, 2.0), placement="random"), record=Record(own=(Metric("own", abs, dims=("x",)),))
    ),
    "axis 'learning_rate' must hold numbers or names, got None": lambda: grid(learning_rate=(None, 0.1)),
    "axis 'noise' must hold numbers or names, got None": lambda: zipped(seed=(0, 1), noise=(None, 0.1)),
    "axis 'seed' must hold numbers or names, got True": lambda: grid(seed=(True, False)),
    "axis 'width' must hold numbers or names, got (8, 8)": lambda: grid(width=((8, 8),)),
    "task.phases must be 'random' or one for each of 1 frequencies, got 'randon'": lambda: SumOfSines(phases="randon"),
    "task.phases must be 'random' or one for each of 1 frequencies, got 0.0": lambda: SumOfSines(phases=0.0),
    "task.phases must be a finite number, got inf": lambda: SumOfSines(phases=(float("inf"),)),
    "task.amplitudes must be a finite number, got nan": lambda: SumOfSines(amplitudes=float("nan")),
    "task.slopes must be a finite number, got nan": lambda: Linear(slopes=(float("nan"),)),
    "low must be a finite number, got -inf": lambda: Sine(low=-float("inf")),
    "high must be a finite number, got nan": lambda: Sine(high=float("nan")),
    "threshold of figure 'epochs_to_converge' must be a finite number, got 'low'": lambda: Figure(
        "epochs_to_converge", {"threshold": "low"}
    ),
    "reference of figure 'loss_curves' must be a name, got 1.0": lambda: Figure("loss_curves", {"reference": 1.0}),
    "5 random points are too few to tell 2 frequencies apart by least squares: "
    "take more than 5 points or fewer frequencies": lambda: SumOfSines(
        frequencies=(1, 2), placement="random", points=5
    ),
    "4 random points are too few to tell 2 frequencies apart by least squares: "
    "take more than 5 points or fewer frequencies": lambda: tiny(
        task=SumOfSines(frequencies=(1, 2), placement="random", points=16), axes=grid(points=(16, 4))
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_it_is_refused_in_one_line_that_says_what_to_do(message: str) -> None:
    with pytest.raises(SweepError) as refused:
        REFUSALS[message]()
    assert str(refused.value) == message


def test_few_random_points_are_enough_where_no_frequency_is_read() -> None:
    assert Sine(placement="random", points=2).reported_frequencies() == ()


def test_an_exponential_that_ends_at_zero_is_refused():
    with pytest.raises(SweepError, match="final_fraction must be greater than 0 with schedule 'exponential'"):
        Optimizer("sgd", schedule="exponential", final_fraction=0.0)
