"""Which pages are refused, with which messages, and what a page's hash depends on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import linen as nn
from helpers import tiny

from sweep.base.errors import SweepError
from sweep.page.axes import Axes, grid, zipped
from sweep.page.identity import describe, fingerprint
from sweep.page.load import load
from sweep.page.resolve import numbers_of, resolve, shape_of
from sweep.page.restore import restore
from sweep.page.shape import blank
from sweep.page.specs.optimizer import OPTIMIZERS
from sweep.specs import (
    MLP,
    AtLeast,
    AtMost,
    Claim,
    Figure,
    FromFunction,
    FromModule,
    FromOptax,
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
    "unknown layer in model.frozen 'layer_9': did you mean 'layer_3'?": lambda: MLP(frozen=("layer_9",)),
    "model.frozen names all layers, so that nothing would be trained: leave one out": lambda: MLP(
        depth=0, frozen=("layer_0",)
    ),
    "model.frozen must be a tuple of layers, as ('layer_0',), got 'layer_0'": lambda: MLP(frozen="layer_0"),  # type: ignore[arg-type]
    "unknown initializer 'he_norml': did you mean 'he_normal'?": lambda: MLP(initializer="he_norml"),
    "width must be at least 1, got 0": lambda: MLP(width=0),
    "width must be a whole number, got 8.0": lambda: tiny(axes=grid(width=(8.0,))),
    "model.hidden must hold whole numbers of at least 1, got (4, 0)": lambda: MLP(hidden=(4, 0)),
    "unknown initializer None: known: glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, "
    "lecun_uniform, normal, pytorch_normal, pytorch_uniform, siren, zeros": lambda: MLP(initializer=None),  # type: ignore[arg-type]
    "model.initializer must name 3 layers, output included, got 2": lambda: MLP(
        depth=2, initializer=("normal", "zeros")
    ),
    "unknown optimizer 'adamm': did you mean 'adam'?": lambda: Optimizer("adamm"),
    # these are other algorithms and not misspellings, so nothing is suggested
    f"unknown optimizer 'prodigy': known: {', '.join(sorted(OPTIMIZERS))}": lambda: Optimizer("prodigy"),
    f"unknown optimizer 'adan_w': known: {', '.join(sorted(OPTIMIZERS))}": lambda: Optimizer("adan_w"),
    "optimizer must be an Optimizer or FromOptax, got None": lambda: tiny(optimizer=None),
    "'output_bias' is not a knob, so no axis can sweep it: run a page for each value": lambda: grid(
        output_bias=(True, False)
    ),
    "'frozen' is not a knob, so no axis can sweep it: run a page for each value": lambda: grid(
        frozen=(("layer_0",), ("layer_1",))
    ),
    "'output_bias' of MLP is not a knob, so no axis can sweep it: run a page for each value; its knobs are activation, "
    "base_width, bias, bias_initializer, bias_scale, depth, dropout, fourier_features, fourier_scale, hidden, "
    "hidden_omega, initial_scale, initializer, omega0, output_activation, parametrisation, width": lambda: tiny(
        axes=grid(output_bias=("yes", "no"))
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
    "optimizer 'adam' with schedule 'constant' takes no momentum, got 0.9: it takes beta1, beta2, epsilon, and the "
    "options accumulate, average, clip_norm, coupled_decay, decoupled_decay, layer_rates, warmup": lambda: Optimizer(
        "adam", momentum=0.9
    ),
    "optimizer 'lbfgs' with schedule 'constant' takes no learning_rate, got 0.9: it takes memory_size, and the option "
    "average": lambda: Optimizer("lbfgs", learning_rate=0.9),
    "optimizer 'lbfgs' with schedule 'constant' takes no clip_norm, got 1: it takes memory_size, and the option "
    "average": lambda: tiny(axes=grid(optimizer=("adam", "lbfgs"), clip_norm=(1.0, 2.0))),
    "optimizer 'lbfgs' with schedule 'constant' takes no accumulate, got 2: it takes memory_size, and the option "
    "average": lambda: Optimizer("lbfgs", accumulate=2),
    "optimizer 'schedule_free_adamw' with schedule 'constant' takes no average, got 0.9: it takes beta1, beta2, "
    "epsilon, weight_decay, and the options accumulate, clip_norm, coupled_decay, warmup": lambda: Optimizer(
        "schedule_free_adamw", average=0.9
    ),
    "beta1 must be greater than 0 with optimizer 'schedule_free_adamw', which divides by it": lambda: tiny(
        optimizer=Optimizer("schedule_free_adamw"), axes=grid(beta1=(0.0, 0.9))
    ),
    "optimizer 'adam' with schedule 'linear' takes no boundaries, got (0.2,): it takes beta1, beta2, epsilon, "
    "final_fraction, and the options accumulate, average, clip_norm, coupled_decay, decoupled_decay, layer_rates, "
    "warmup": lambda: Optimizer(schedule="linear", boundaries=(0.2,)),
    "boundaries[1] must be less than 1, got 1.5": lambda: Optimizer(schedule="piecewise", boundaries=(0.2, 1.5)),
    "boundaries_0 must be less than 1, got 1.5": lambda: tiny(
        optimizer=Optimizer(schedule="piecewise"), axes=grid(boundaries_0=(0.5, 1.5))
    ),
    "layer_rates must hold a number or more, as in (1, 0.5), got ()": lambda: Optimizer(layer_rates=()),
    "layer_rates[0] must be at least 0, got -1": lambda: Optimizer(layer_rates=(-1,)),
    "layer_rates must have one number for each of 3 layers, output included, got (1, 2)": lambda: tiny(
        optimizer=Optimizer(layer_rates=(1, 2))
    ),
    "layer_rates must have one number for each of 2 layers, output included, got (1, 1, 2)": lambda: tiny(
        optimizer=Optimizer(layer_rates=(1, 1, 2)), axes=grid(depth=(2, 1))
    ),
    "'layer_rates_0' is no knob here: give Optimizer layer_rates, one number for each layer, such as 1": lambda: tiny(
        axes=grid(layer_rates_0=(1, 2))
    ),
    "axis 'average' needs an average that is recorded: give Optimizer one, as average=0.9": lambda: tiny(
        axes=grid(average=(0.9, 0.99))
    ),
    "build of FromOptax must be a function that returns an optimiser, got 3": lambda: FromOptax(3),  # type: ignore[arg-type]
    "number 'rate' of FromOptax must be a finite number, got True": lambda: FromOptax(len, rate=True),
    "number 'rate' of FromOptax must be a finite number, got None": lambda: FromOptax(len, rate=None),
    "number 'rate' of FromOptax must be a number or a text, got ''": lambda: FromOptax(len, rate=""),
    "a number of FromOptax can't be named 'loss', a name that results use: rename it": lambda: FromOptax(len, loss=1.0),
    "a number of FromOptax can't be named 'network', a name that results use: rename it": lambda: FromOptax(
        len, network=1.0
    ),
    "record.x must be a Window over 2 features, as the points of this page have, got Window(low=0, high=1, points=9, "
    "end=True)": lambda: tiny(
        task=FromFunction(function=len, features=2, placement="random"), record=Record(x=Window(0, 1, 9))
    ),
    "task.frequencies are of one feature, got 2 features: leave them out": lambda: FromFunction(
        function=len, features=2, placement="random", frequencies=(1.0,)
    ),
    "task.outputs must be different names, as in ('u', 'v'), got ('u', 'u')": lambda: FromFunction(
        function=len, outputs=("u", "u")
    ),
    "task.outputs must be different names, as in ('u', 'v'), got 'uv'": lambda: FromFunction(
        function=len,
        outputs="uv",  # type: ignore[arg-type]
    ),
    "number 'width' of FromOptax has the name of a knob: rename it": lambda: tiny(optimizer=FromOptax(len, width=1.0)),
    "number 'seed' of FromOptax has the name of a knob: rename it": lambda: tiny(optimizer=FromOptax(len, seed=1.0)),
    "number 'noise' of FromOptax has the name of a knob: rename it": lambda: tiny(optimizer=FromOptax(len, noise=1.0)),
    "parameter 'rate' of the target function has the name of a knob: rename it": lambda: tiny(
        optimizer=FromOptax(len, rate=1.0), task=FromFunction(function=len, parameters={"rate": 1.0})
    ),
    "build of FromModule must be a function that returns a module, got the module Dense itself: give a function that "
    "makes it": lambda: FromModule(nn.Dense(1)),  # type: ignore[arg-type]
    "unknown argument of net 'droput': did you mean 'dropout'?": lambda: FromModule(net, dropout=0.1, droput=0.1),
    "'net', which builds the module, needs dropout: give it": lambda: FromModule(net),
    "unknown number of FromModule in static 'rate': known: dropout": lambda: FromModule(
        net, dropout=0.1, static=("rate",)
    ),
    "static of FromModule must be a tuple of names, got 'dropout'": lambda: FromModule(
        net,
        dropout=0.1,
        static="dropout",
    ),
    "number 'dropout' of FromModule must be a finite number, got True": lambda: FromModule(net, dropout=True),
    "number 'depth' of FromModule has the name of a knob: rename it": lambda: tiny(
        model=FromModule(lambda width, depth: None, depth=2)
    ),
    "number 'momentum' of FromModule has the name of a knob: rename it": lambda: tiny(
        model=FromModule(lambda width, momentum: None, momentum=0.9)
    ),
    "number 'static' of FromModule has the name of an argument of its own: rename it": lambda: FromModule(
        len, numbers={"static": 1.0}
    ),
    "features must be a whole number, as the page gives one, got 2.5; a sample draws whole numbers from integers(low, "
    "high)": lambda: tiny(model=FromModule(lambda width, features: None, features=2), axes=grid(features=(2.5,))),
    "axis 'width' does not apply to optimizer 'adam' with FromModule and SumOfSines as set up here: sweep it in "
    "separate axes, joined with +, or draw it with when(...)": lambda: tiny(
        model=FromModule(lambda features: None, features=2), axes=grid(width=(2, 3))
    ),
    "numbers of FromOptax must be a mapping from names to numbers, got 3": lambda: FromOptax(len, numbers=3),  # type: ignore[arg-type]
    "unknown knob 'ratte': did you mean 'rate'?": lambda: tiny(
        optimizer=FromOptax(len, rate=1.0), axes=grid(ratte=(1.0, 2.0))
    ),
    "rate must be a finite number, got 'x'": lambda: tiny(optimizer=FromOptax(len, rate=1.0), axes=grid(rate=("x",))),
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
    "clipping": {"optimizer": Optimizer("adam", learning_rate=0.01, clip_norm=1.0)},
    "layer rates": {"optimizer": Optimizer("adam", learning_rate=0.01, layer_rates=(1, 1, 2))},
    "own optimizer": {"optimizer": FromOptax(len, learning_rate=0.01)},
    "own optimizer's number": {"optimizer": FromOptax(len, learning_rate=0.02)},
    "own optimizer's text": {"optimizer": FromOptax(len, learning_rate="a")},
    "own optimizer's function": {"optimizer": FromOptax(abs, learning_rate=0.01)},
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


def test_an_own_optimizer_is_described_hashed_and_never_rebuilt_from_a_store():
    def build(learning_rate, form):
        return learning_rate, form

    one, other = (FromOptax(build, form="a", learning_rate=rate) for rate in (0.1, np.float32(0.5)))
    assert hash(one) == hash(other)
    assert one != other
    assert blank(one) == blank(other) != blank(FromOptax(build, form="b", learning_rate=0.1))
    assert replace(one) == one
    described = describe(tiny(optimizer=other))
    assert described["optimizer"]["numbers"] == {"form": "a", "learning_rate": 0.5}
    assert "return learning_rate, form" in described["optimizer"]["build"]
    with pytest.raises(SweepError, match="uses code of its page, in a FromOptax"):
        restore(described)
    full = Optimizer("sgd", schedule="piecewise", boundaries=(0.2,), layer_rates=(1, 1, 0), clip_norm=2.0, accumulate=3)
    page = tiny(optimizer=full, axes=grid(layer_rates_2=(0.0, 1.0)))
    assert restore(json.loads(json.dumps(describe(page)))) == page


def test_structures_differ_in_which_options_are_on():
    axes = grid(learning_rate=(0.1,), clip_norm=(2.0, 1.0)) + grid(learning_rate=(0.1,), warmup=(0.0,))
    page = tiny(axes=axes + grid(learning_rate=(0.3, 0.4)))
    resolved = resolve(page)
    assert [variant.members.tolist() for variant in resolved.variants] == [[0, 1], [2], [3, 4]]
    first, second, third = (numbers_of(variant, resolved.lanes) for variant in resolved.variants)
    assert first["clip_norm"].tolist() == [2.0, 1.0]
    assert {"clip_norm", "warmup"} & second.keys() == {"warmup"}
    assert not {"clip_norm", "warmup"} & third.keys()
    assert np.array_equal(resolved.columns["clip_norm"], [2.0, 1.0, np.nan, np.nan, np.nan], equal_nan=True)
    # The page's own value is that of lanes for which no axis gives one.
    clipped = resolve(replace(page, optimizer=Optimizer(clip_norm=5.0)))
    assert clipped.columns["clip_norm"].tolist() == [2.0, 1.0, 5.0, 5.0, 5.0]
    assert len({shape_of(variant.page) for variant in clipped.variants}) == 2


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


def test_a_metric_of_the_page_may_lie_along_the_outputs() -> None:
    own = Record(own=(Metric("largest", len, dims=("output",)),))
    assert "output" in tiny(task=FromFunction(function=len, outputs=("u", "v")), record=own).dimensions()
    with pytest.raises(SweepError, match="states the dimension 'output', which this task does not have"):
        tiny(record=own)


def test_a_range_of_one_feature_may_be_a_tuple() -> None:
    task = FromFunction(function=len, low=(-1,), high=(1,), frequencies=(1.0,), inputs="circle")
    assert task == FromFunction(function=len, low=-1, high=1, frequencies=(1.0,), inputs="circle")


@pytest.mark.parametrize(
    ("name", "axes"), [("adam", {"optimizer": ("adam", "adamw")}), ("sgd", {"weight_decay": (0.0, 0.1)})]
)
def test_biases_may_be_left_out_of_a_decay_that_some_lanes_have(name, axes):
    assert tiny(optimizer=Optimizer(name, decay_biases=False), axes=grid(**axes)).optimizer.decay_biases is False


def net(width, dropout):
    """Build a module; never called here."""


def test_numbers_of_a_module_keep_the_kind_that_the_page_gave_them():
    model = FromModule(net, dropout=0.5, static=("dropout",))
    assert type(model.with_knobs({"dropout": 1}).numbers["dropout"]) is float
    assert [model.own_knobs()[name].traced for name in ("dropout", "width", "initial_scale")] == [False, False, True]
    assert blank(replace(model, static=())) == blank(FromModule(net, dropout=0.1)) != blank(model)
    assert model.takes_width()
    for build, numbers in ((lambda features: None, {"features": 2}), (lambda features=2: None, {})):
        assert not FromModule(build, **numbers).takes_width()
