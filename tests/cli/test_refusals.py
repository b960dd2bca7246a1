"""What would give wrong numbers, or fail later, is refused when a page is made, in one line."""

from collections.abc import Callable
from typing import Any

import pytest
from helpers import tiny

from sweep.axes import grid, zipped
from sweep.base.errors import SweepError
from sweep.specs import (
    MLP,
    XOR,
    AtLeast,
    AtMost,
    Between,
    Claim,
    Figure,
    FromFunction,
    FromModule,
    Linear,
    Metric,
    Optimizer,
    Record,
    Sine,
    SumOfSines,
    Table,
    Window,
)


def table(rows: Any = ((1, 2), (3, 4)), targets: Any = (0, 1), inputs: str = "as_is", **options: Any) -> Table:
    return Table(rows=rows, targets=targets, inputs=inputs, **options)


def claim(**changes: Any) -> Claim:
    settings = {"id": "C1", "text": "It is so.", "source": "001", "measure": len, "criterion": AtLeast(0.5)}
    return Claim(**(settings | changes))


REFUSALS: dict[str, Callable[[], object]] = {
    "points must be at most 16777216, got 10000000000000000000000": lambda: Sine(points=10**22),
    "points of Window must be at most 16777216, got 10000000000000000000000": lambda: Window(0, 1, points=10**22),
    "width must be at most 16777216, got 10000000000000000000000": lambda: MLP(width=10**22),
    "metric 'a' must be given a function of a moment, got 3": lambda: Metric("a", 3),  # type: ignore[arg-type]
    "the target function must be a function of x, got 3": lambda: FromFunction(function=3),  # type: ignore[arg-type]
    "build of FromModule must be a function of the width, got 3": lambda: FromModule(build=3),  # type: ignore[arg-type]
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
    "metric 'learning_rate' of the page has the name of a knob: rename it": lambda: tiny(
        record=Record(own=(Metric("learning_rate", abs),))
    ),
    "metric 'sharpness' of the page has the name of a knob: rename it": lambda: tiny(
        task=FromFunction(function=abs, parameters={"sharpness": 1.0}), record=Record(own=(Metric("sharpness", abs),))
    ),
    "a Table takes no points, got 7: its rows are its points": lambda: table(points=7),
    "a Table takes no low, got -3: its rows are its points": lambda: table(low=-3),
    "model.omega0 needs activation 'sine' or 'cosine', got 2.0 without: leave it out": lambda: MLP(omega0=2.0),
    "model.hidden_omega needs activation 'sine' or 'cosine', and two hidden layers or initializer 'siren', got 30.0 "
    "without: leave it out": lambda: MLP(activation="sine", depth=1, hidden_omega=30.0),
    "model.dropout needs hidden layers, got 0.1 without: leave it out": lambda: MLP(depth=0, dropout=0.1),
    "dropout must be less than 1, got 1.0": lambda: MLP(dropout=1.0),
    "model.fourier_scale needs fourier_features, got 2.0 without: leave it out": lambda: MLP(fourier_scale=2.0),
    "fourier_features must be at least 1, got 0": lambda: MLP(fourier_features=0),
    "model.layer_norm needs 1 to 1023 hidden layers, got 0: leave it out": lambda: MLP(depth=0, layer_norm=True),
    "model.residual needs two hidden layers or more, all of one width, got (64,): leave it out": lambda: MLP(
        depth=1, residual=True
    ),
    "model.residual needs two hidden layers or more, all of one width, got (8, 9): leave it out": lambda: MLP(
        hidden=(8, 9), residual=True
    ),
    "pairs of MLP must be True or False, got 2": lambda: MLP(pairs=2),
    "loss 'binary_cross_entropy' is of probabilities, which a difference of two is not: with pairs take "
    "loss='binary_cross_entropy_with_logits'": lambda: tiny(
        task=table(), model=MLP(output_activation="sigmoid", pairs=True), loss="binary_cross_entropy"
    ),
    "model.bias_scale needs biases, got 2.0 without: leave it out": lambda: MLP(bias=False, bias_scale=2.0),
    "loss 'binary_cross_entropy' needs targets from 0 to 1, which this Sine does not give": lambda: tiny(
        task=Sine(), loss="binary_cross_entropy"
    ),
    "loss 'binary_cross_entropy_with_logits' needs targets without noise, got noise 0.1": lambda: tiny(
        task=table(noise=0.1), loss="binary_cross_entropy_with_logits"
    ),
    "loss 'binary_cross_entropy' is of probabilities: take output_activation='sigmoid', or the loss "
    "'binary_cross_entropy_with_logits'": lambda: tiny(task=table(), loss="binary_cross_entropy"),
    "loss 'binary_cross_entropy_with_logits' needs targets from 0 to 1, which this Table does not give": lambda: tiny(
        task=table(targets=(0, 2)), loss="binary_cross_entropy_with_logits", record=Record(metrics=("loss",))
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
    "5 random points are too few to fit 2 frequencies by least squares: "
    "use more than 5 points, or fewer frequencies": lambda: SumOfSines(
        frequencies=(1, 2), placement="random", points=5
    ),
    "task.rows must hold a tuple of numbers for each point, as in ((0.5,), (1,)), got (1, 2, 3)": lambda: table(
        (1, 2, 3)
    ),
    "task.rows must hold a tuple of numbers for each point, as in ((0.5,), (1,)), got 3": lambda: table(3),
    "task.rows must all have the same length, at least 1, got ((1,), (2, 3))": lambda: table(((1,), (2, 3))),
    "task.rows must all have the same length, at least 1, got ((), ())": lambda: table(((), ())),
    "points must be at least 2, got 0": Table,
    "points must be at least 2, got 1": lambda: table(((1, 2),), (0,)),
    "task.targets must have one number for each of 2 rows, got (0, 1, 1)": lambda: table(targets=(0, 1, 1)),
    "task.targets must have one number for each of 2 rows, got 1.0": lambda: table(targets=1.0),
    "numbers of task.rows and task.targets must be a finite number, got nan": lambda: table(((1,), (float("nan"),))),
    "numbers of task.rows and task.targets must be a finite number, got 'one'": lambda: table(targets=(0, "one")),
    "inputs 'scaled' need a range, which a Table does not have: use 'as_is'": lambda: table(inputs="scaled"),
    "inputs 'circle' need a range, which a Table does not have: use 'as_is'": lambda: table(
        ((1,), (2,)), inputs="circle"
    ),
    "inputs can't be 'standardised' if a feature is the same in all rows: leave it out": lambda: table(
        ((1, 5), (2, 5)), inputs="standardised"
    ),
    "unknown inputs 'standardized': did you mean 'standardised'?": lambda: Sine(inputs="standardized"),
    "inputs 'circle' need one feature x, got 2: choose other inputs": lambda: Linear(
        slopes=(1, 2), placement="random", inputs="circle"
    ),
    "axis 'points' does not apply to optimizer 'adam' with MLP and Table as set up here: "
    "sweep it in separate axes, joined with +, or draw it with when(...)": lambda: tiny(
        task=XOR, axes=grid(points=(4, 8))
    ),
    "batch_size must be at most the 4 points, got 5": lambda: tiny(task=XOR, batch_size=5),
    "task.high must be greater than task.low, got low 2, high 1": lambda: tiny(axes=grid(low=(0.0, 2.0))),
    "omega0 must be greater than 0, got 0.0": lambda: MLP(omega0=0.0),
    "bias_scale must be at least 0, got -1": lambda: MLP(bias_scale=-1),
    "Window must have low below high, got 2, 1": lambda: Window(2, 1),
    "high of Window must be a finite number, got inf": lambda: Window(0, float("inf")),
    "points of Window must be a whole number of at least 2, got 1": lambda: Window(0, 1, 1),
    "points of Window must be a whole number of at least 2, got 2.5": lambda: Window(0, 1, 2.5),
    "record.x must be a Window or None, got (0, 1)": lambda: Record(x=(0, 1)),
    "AtLeast must be a finite number, got 'much'": lambda: AtLeast("much"),
    "AtMost must be a finite number, got inf": lambda: AtMost(float("inf")),
    "Between must be given the smaller number first, got 2, 1": lambda: Between(2, 1),
    "Between must be a finite number, got nan": lambda: Between(float("nan"), 1),
    "unknown statistic of claim 'C1' 'men': did you mean 'mean'?": lambda: claim(statistic="men"),
    "the criterion of claim 'C1' must be AtLeast, AtMost or Between, got 0.5": lambda: claim(criterion=0.5),
    "the measure of claim 'C1' must be a function, got 'loss'": lambda: claim(measure="loss"),
    "claim 'C1' has a share at least 5 as criterion: a share lies between 0 and 1": lambda: claim(
        statistic="share", criterion=AtLeast(5)
    ),
    "claim 'C1' has a share at most -1 as criterion: a share lies between 0 and 1": lambda: claim(
        statistic="share", criterion=AtMost(-1)
    ),
    "4 random points are too few to fit 2 frequencies by least squares: "
    "use more than 5 points, or fewer frequencies": lambda: tiny(
        task=SumOfSines(frequencies=(1, 2), placement="random", points=16), axes=grid(points=(16, 4))
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_it_is_refused_in_one_line_with_a_fix(message: str) -> None:
    with pytest.raises(SweepError) as refused:
        REFUSALS[message]()
    assert str(refused.value) == message


def test_few_random_points_are_enough_where_no_frequency_is_reported() -> None:
    assert Sine(placement="random", points=2).reported_frequencies() == ()


def test_an_exponential_that_ends_at_zero_is_refused():
    with pytest.raises(SweepError, match="final_fraction must be greater than 0 with schedule 'exponential'"):
        Optimizer("sgd", schedule="exponential", final_fraction=0.0)


def test_criteria_are_closed_ranges_with_words():
    assert (AtLeast(0.5).low, AtLeast(0.5).high, str(AtLeast(0.5))) == (0.5, float("inf"), "at least 0.5")
    assert (AtMost(2).low, AtMost(2).high, str(AtMost(2))) == (-float("inf"), 2, "at most 2")
    assert (Between(0.5, 2).low, Between(0.5, 2).high, str(Between(0.5, 2))) == (0.5, 2, "between 0.5 and 2")
