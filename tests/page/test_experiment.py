"""Which pages are refused, with which messages, and what a page's hash depends on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny

from sweep.base.errors import SweepError
from sweep.page.axes import Axes, grid, zipped
from sweep.page.identity import fingerprint
from sweep.page.load import load
from sweep.page.resolve import numbers_of, resolve, shape_of
from sweep.specs import (
    MLP,
    AtLeast,
    AtMost,
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
    Window,
    every,
    log_spaced,
)

# Each message names the thing, the value received and the fix, in one line.
REFUSALS: dict[str, Callable[[], object]] = {
    "epochs must be a whole number of at least 1, got 0": lambda: tiny(epochs=0),
    "epochs must be a whole number of at least 1, got 2.5": lambda: tiny(epochs=2.5),
    "epochs must be a whole number of at least 1, got True": lambda: tiny(epochs=True),
    "batch_size must be at most the 16 points, got 17": lambda: tiny(batch_size=17),
    "batch_size must be at least 1, got 0": lambda: tiny(batch_size=0),
    "seed must be at least 0, got -1": lambda: tiny(seed=-1),
    "seed must be at most 4294967295, got 4294967296": lambda: tiny(axes=grid(seed=(0, 2**32))),
    "seed must be a whole number, got 0.5; a sample draws whole numbers from integers(low, high)": lambda: tiny(
        axes=grid(seed=(0.5,))
    ),
    "unknown loss 'mean_square': did you mean 'mean_squared'?": lambda: tiny(loss="mean_square"),
    "unknown precision 'float16': did you mean 'float64'?": lambda: tiny(precision="float16"),
    "unknown activation 'tahn': did you mean 'tanh'?": lambda: MLP(activation="tahn"),
    "unknown activation 'rleu': did you mean 'relu'?": lambda: tiny(axes=grid(activation=("tanh", "rleu"))),
    "unknown initializer 'he_norml': did you mean 'he_normal'?": lambda: MLP(initializer="he_norml"),
    "width must be at least 1, got 0": lambda: MLP(width=0),
    "width must be a whole number, got 8.0": lambda: tiny(axes=grid(width=(8.0,))),
    "model.hidden must hold whole numbers of at least 1, got 0": lambda: MLP(hidden=(4, 0)),
    "model.initializer must be a name, or a name for each layer, got None": lambda: MLP(initializer=None),  # type: ignore[arg-type]
    "model.initializer must name 3 layers, output included, got 2": lambda: MLP(
        depth=2, initializer=("normal", "zeros")
    ),
    "unknown optimizer 'adamm': did you mean 'adam'?": lambda: Optimizer("adamm"),
    # these are other algorithms and not misspellings, so nothing is suggested
    "unknown optimizer 'muon': known: adagrad, adam, adamw, lion, nadam, rmsprop, sgd": lambda: Optimizer("muon"),
    "unknown optimizer 'amsgrad': known: adagrad, adam, adamw, lion, nadam, rmsprop, sgd": lambda: Optimizer("amsgrad"),
    "optimizer must be an Optimizer, got None": lambda: tiny(optimizer=None),
    "'bias' is not a knob, so no axis can sweep it: run a page for each value": lambda: grid(bias=(True, False)),
    "'hidden' is not a knob, so no axis can sweep it: run a page for each value": lambda: grid(hidden=((8, 8), (16,))),
    "'bias' of MLP is not a knob, so no axis can sweep it: run a page for each value; its knobs are activation, bias_"
    "initializer, bias_scale, depth, initial_scale, omega0, output_activation, width": lambda: tiny(
        axes=grid(bias=("yes", "no"))
    ),
    "question must be text, got 1j": lambda: tiny(question=1j),
    "question must have at most 1000 characters, got 1001: " + repr("q" * 40) + "...": lambda: tiny(
        question="q" * 1001
    ),
    r"question can't have the character '\x1b' in it, got 'red \x1b[31m'": lambda: tiny(question="red \x1b[31m"),
    r"question can't have the character '\ud800' in it, got '\ud800'": lambda: tiny(question="\ud800"),
    r"long_name of metric 'm' can't have the character '\x00' in it, got 'a\x00'": lambda: Metric(
        "m", len, long_name="a\0"
    ),
    "units of metric 'm' must be text, got 1": lambda: Metric("m", len, units=1),
    r"text of a claim can't have the character '\x07' in it, got 'a\x07'": lambda: Claim(
        id="C", text="a\a", source="me", measure=len, criterion=AtMost(1)
    ),
    "a parameter of the target function can't be named '$a$': choose an identifier of at most 80 letters": lambda: (
        FromFunction(function=len, parameters={"$a$": 1.0})
    ),
    "record.at takes at most 1000000 records, got 1e+30": lambda: log_spaced(1e30),
    "record.at must be a finite number, got inf": lambda: every(float("inf")),
    "learning_rate must be a number that fits into float64, got one of 1329 bits": lambda: tiny(
        axes=grid(learning_rate=(10**400,))
    ),
    "optimizer 'adam' with schedule 'constant' takes no momentum, got 0.9: it takes beta1, beta2, epsilon": lambda: (
        Optimizer("adam", momentum=0.9)
    ),
    "learning_rate must be greater than 0, got 0.0": lambda: tiny(axes=grid(learning_rate=(0.0, 0.1))),
    "learning_rate must be a finite number, got inf": lambda: Optimizer(learning_rate=float("inf")),
    "momentum must be less than 1, got 1.0": lambda: Optimizer("sgd", momentum=1.0),
    "noise must be at least 0, got -0.1": lambda: SumOfSines(noise=-0.1),
    "points must be at least 2, got 1": lambda: Sine(points=1),
    "unknown placement 'gird': did you mean 'grid'?": lambda: Sine(placement="gird"),
    "task.high must be greater than task.low, got low 1, high 1": lambda: Sine(low=1.0),
    "frequency 8 is not below the Nyquist limit 8 cycles per unit of x of 16 points on [0, 1]: "
    "use more points or a lower frequency": lambda: SumOfSines(frequencies=(1, 8), points=16),
    "task.frequencies must be greater than 0, got 0": lambda: SumOfSines(frequencies=(0,)),
    "task.amplitudes must have one value for each of 2 frequencies, got 1": lambda: SumOfSines(
        frequencies=(1, 2), amplitudes=(1.0,)
    ),
    "a linear task with 2 features needs placement='random'": lambda: Linear(slopes=(1.0, 2.0)),
    "parameter 'noise' of the target function has a name that is already used: rename it": lambda: FromFunction(
        function=abs, parameters={"noise": 1.0}
    ),
    "unknown metric 'los': did you mean 'loss'?": lambda: Record(metrics=("los",)),
    "metric 'spatial_error' does not apply to Linear as it is set up here": lambda: tiny(
        task=Linear(slopes=(1.0, 2.0), placement="random"), record=Record(metrics=("spatial_error",))
    ),
    "a metric of the page can't be named 'loss': choose another identifier": lambda: Metric("loss", abs),
    "a metric of the page can't be named 'lock': choose another identifier": lambda: Metric("lock", abs),
    "record.metrics must be distinct, got loss, loss": lambda: Record(metrics=("loss", "loss")),
    "record.snapshots must be at least 0, got -1": lambda: Record(snapshots=-1),
    "record.at must have a number greater than 0, got 0": lambda: log_spaced(0),
    "unknown figure 'curve': did you mean 'curves'?": lambda: Figure("curve"),
    "figure 'fits' has no option 'threshold': it takes no options": lambda: Figure("fits", {"threshold": 0.1}),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_invalid_pages_are_refused_in_one_line(message):
    with pytest.raises(SweepError) as refused:
        REFUSALS[message]()
    assert str(refused.value) == message
    assert "\n" not in message


def test_a_swept_frequency_beyond_the_nyquist_limit_is_refused():
    with pytest.raises(SweepError, match="frequency 9 is not below the Nyquist limit 8"):
        tiny(task=Sine(points=16), axes=grid(target_frequency=(1.0, 9.0)))


def test_a_figure_that_needs_what_the_page_does_not_record_is_refused():
    with pytest.raises(SweepError, match="figure 'learning_rate_epoch' needs 'learning_rate'") as refused:
        tiny(figures=(Figure("learning_rate_epoch"),), axes=grid(seed=(0, 1)))
    assert "\n" not in str(refused.value)


LISTS: dict[str, Callable[[], object]] = {
    "hidden": lambda: tiny(model=MLP(hidden=[4, 4])),
    "initializer": lambda: tiny(model=MLP(depth=1, initializer=["zeros", "normal"])),
    "frequencies": lambda: tiny(task=SumOfSines(frequencies=[1, 2])),
    "amplitudes": lambda: tiny(task=SumOfSines(frequencies=(1, 2), amplitudes=[1.0, 2.0])),
    "amplitudes in an array": lambda: tiny(task=SumOfSines(frequencies=(1, 2), amplitudes=np.array([1.0, 2.0]))),
    "phases": lambda: tiny(task=SumOfSines(frequencies=(1, 2), phases=[0.0, 1.0])),
    "slopes": lambda: tiny(task=Linear(slopes=[2.0])),
    "a function's frequencies": lambda: tiny(task=FromFunction(function=abs, frequencies=[1.0, 2.0])),
    "own metrics": lambda: tiny(record=Record(own=[Metric("own", abs)])),
}


@pytest.mark.parametrize("where", LISTS)
def test_a_list_is_converted_to_a_tuple_or_refused(where):
    # A list can't be hashed, which would raise an unclear error much later.
    try:
        experiment = LISTS[where]()
    except SweepError:
        return
    hash(shape_of(experiment))


def test_lanes_have_swept_values_values_of_the_page_and_defaults():
    experiment = tiny(
        optimizer=Optimizer("sgd", learning_rate=0.2, momentum=0.7),
        axes=grid(seed=(5,), learning_rate=(0.1,)) + grid(seed=(6,), weight_decay=(0.3,)),
    )
    numbers = numbers_of(resolve(experiment).variants[0], resolve(experiment).lanes)
    assert numbers["seed"].tolist() == [5, 6]
    assert numbers["learning_rate"].tolist() == [0.1, 0.2]  # swept in one part, the page's in the other
    assert numbers["weight_decay"].tolist() == [0.0, 0.3]  # the optimiser's default in one part
    assert numbers["momentum"].tolist() == [0.7, 0.7]
    assert "beta1" not in numbers


def test_lanes_that_differ_only_in_numbers_have_one_shape():
    experiment = tiny(axes=grid(learning_rate=(0.1, 0.2), noise=(0.0, 1.0), width=(4, 8), seed=(0, 1)))
    variants = [(each.page, each.members) for each in resolve(experiment).variants]
    assert [len(members) for _, members in variants] == [8, 8]
    assert len({shape_of(variant) for variant, _ in variants}) == 2
    assert shape_of(tiny(seed=3)) == shape_of(tiny(optimizer=Optimizer("adam", learning_rate=0.3)))
    assert experiment.task.window()


CLAIM = Claim(id="C1", text="It is so.", source="001", measure=len, criterion=AtLeast(1.0))


@pytest.mark.parametrize("gone", ["question", "figures", "name", "claims"])
def test_the_fingerprint_does_not_depend_on_text_figures_and_claims(gone):
    experiment = tiny(axes=grid(seed=(0, 1)))
    changed = {"question": "Another?", "figures": (Figure("loss_curves"),), "name": "another", "claims": (CLAIM,)}
    other = changed[gone]
    assert fingerprint(replace(experiment, **{gone: other})) == fingerprint(experiment)


def test_claims_must_have_different_ids_and_name_figures_of_the_page():
    second = replace(CLAIM, id="C2", criterion=AtMost(2.0), figure="loss_curves")
    experiment = tiny(claims=(CLAIM, second), figures=(Figure("loss_curves"),), axes=grid(seed=(0, 1)))
    assert [claim.id for claim in experiment.claims] == ["C1", "C2"]
    assert all(not variant.page.claims for variant in resolve(experiment).variants)
    refusals = {
        "two claims have the id 'C1': give each a different id": {"claims": (CLAIM, replace(second, id="C1"))},
        "unknown figure of claim 'C2' 'loss_curves': known: fits": {"claims": (second,), "figures": (Figure("fits"),)},
        "claims must be Claims, got ('C1',)": {"claims": ("C1",)},
    }
    for message, fields in refusals.items():
        with pytest.raises(SweepError) as refused:
            tiny(record=Record(), **fields)
        assert str(refused.value) == message


NUMERIC = {
    "points": {"task": SumOfSines(frequencies=(1, 3), points=17)},
    "a frequency": {"task": SumOfSines(frequencies=(1, 4), points=16)},
    "noise": {"task": SumOfSines(frequencies=(1, 3), points=16, noise=0.1)},
    "another kind of task": {"task": Sine(points=16)},
    "width": {"model": MLP(width=7, depth=2)},
    "activation": {"model": MLP(width=6, depth=2, activation="relu")},
    "bias": {"model": MLP(width=6, depth=2, bias=False)},
    "initial scale": {"model": MLP(width=6, depth=2, initial_scale=1.5)},
    "learning rate": {"optimizer": Optimizer("adam", learning_rate=0.011)},
    "optimizer": {"optimizer": Optimizer("nadam", learning_rate=0.01)},
    "schedule": {"optimizer": Optimizer("adam", learning_rate=0.01, schedule="cosine")},
    "axes": {"axes": grid(seed=(0, 2))},
    "zipped axes": {"axes": zipped(seed=(0, 1), data_seed=(0, 1))},
    "no axes": {"axes": Axes()},
    "epochs": {"epochs": 13},
    "loss": {"loss": "summed_squared"},
    "batch size": {"batch_size": 16},
    "seed": {"seed": 1},
    "data seed": {"data_seed": 1},
    "precision": {"precision": "float64"},
    "records": {"record": Record(metrics=("loss",), at=every(2), snapshots=0)},
    "metrics": {"record": Record(metrics=("loss", "parameter_norm"), at=log_spaced(4), snapshots=0)},
    "x": {"record": Record(metrics=("loss",), at=log_spaced(4), snapshots=0, x=Window(0, 2))},
    "inputs": {"task": SumOfSines(frequencies=(1, 3), points=16, inputs="as_is")},
    "bias scale": {"model": MLP(width=6, depth=2, bias_scale=2.0)},
    "output bias": {"model": MLP(width=6, depth=2, output_bias=False)},
}


def test_the_fingerprint_changes_with_anything_numeric():
    experiment = tiny(axes=grid(seed=(0, 1)))
    seen = {fingerprint(experiment): "as it was"}
    for what, change in NUMERIC.items():
        code = fingerprint(replace(experiment, **change))
        assert code not in seen, (what, seen.get(code))
        seen[code] = what
    assert fingerprint(tiny(axes=grid(seed=(0, 1)))) == fingerprint(experiment)  # and with nothing else


PAGE = """
from sweep import MLP, Experiment, FromFunction, grid
def target(x, power):
    return {formula}
experiment = Experiment(
    question="?", task=FromFunction(function=target, parameters={{"power": 2.0}}), model=MLP(), axes=grid(seed=(0,))
)
"""


def test_the_fingerprint_changes_with_the_text_of_a_pages_function(tmp_path: Path):
    codes = []
    for number, formula in enumerate(("x ** power", "x ** power", "x ** power + 1")):
        page = tmp_path / f"page_{number}.py"
        page.write_text(PAGE.format(formula=formula))
        codes.append(fingerprint(load(page)))
    assert codes[0] == codes[1] != codes[2]


def test_the_fingerprint_changes_with_the_text_of_a_pages_module_and_metric():
    def small(width):
        return ("a network", width)

    def large(width):
        return ("another network", width)

    def one(moment):
        return moment.loss

    def two(moment):
        return 2 * moment.loss

    made = [
        tiny(model=FromModule(build=build), record=Record(own=(Metric("own", metric),)))
        for build in (small, large)
        for metric in (one, two)
    ]
    assert len({fingerprint(experiment) for experiment in made}) == 4


def test_a_page_of_a_million_lanes_is_made_without_laying_them_out(monkeypatch):
    def laid_out(axes):
        raise AssertionError("lanes were laid out")

    monkeypatch.setattr("sweep.page.resolve.lay_out", laid_out)
    axes = grid(seed=range(1000), learning_rate=np.geomspace(1e-4, 1, 500)) * grid(width=(4, 8))
    assert tiny(axes=axes).axes.size() == 10**6
    with pytest.raises(SweepError, match="learning_rate must be greater than 0"):
        tiny(axes=grid(seed=range(1000), learning_rate=[*np.geomspace(1e-4, 1, 999), 0.0]))
    with pytest.raises(SweepError, match="axis 'momentum' does not apply to optimizer 'adam'"):
        tiny(axes=grid(seed=range(1000), momentum=np.linspace(0, 0.9, 1000)))
