"""A page with a training of its own: what it takes, what it refuses, and what decides its code."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sweep import MLP, Experiment, FromTraining, Metric, Optimizer, Record, Sine, Window, grid
from sweep.base.errors import SweepError
from sweep.page.identity import differing_fields, fingerprint, page_attributes
from sweep.page.resolve import resolve, shape_of
from sweep.page.restore import restore


def begin(key, size):
    return key


def step(state, rate):
    return state


def measure(state):
    return {"loss": 0.0}


TRAINING = FromTraining(begin, step, measure, rate=0.1, size=3)


def page(training: Any = TRAINING, **changes: Any) -> Experiment:
    return Experiment(**({"question": "Well?", "training": training, "axes": grid(seed=(0, 1))} | changes))


def with_metrics(*metrics: Any) -> FromTraining:
    return replace(TRAINING, metrics=metrics)


REFUSED: dict[str, Callable[[], Any]] = {
    "an Experiment needs a task: give task=, or a training=FromTraining(...) of its own": lambda: page(None),
    "an Experiment needs a model: give model=, or a training=FromTraining(...) of its own": lambda: page(
        None, task=Sine()
    ),
    "training must be a FromTraining or None, got 3": lambda: page(3),
    "a training of the page replaces its task, got a Sine": lambda: page(task=Sine()),
    "a training of the page replaces its model, got an MLP": lambda: page(model=MLP()),
    "a training of the page replaces its optimizer, got an Optimizer": lambda: page(optimizer=Optimizer("sgd")),
    "loss has no effect with a training of the page, got 'huber': leave it out": lambda: page(loss="huber"),
    "batch_size has no effect with a training of the page, got 2: leave it out": lambda: page(batch_size=2),
    "record.own is of a network's moment: give the metrics of a training to FromTraining(metrics=)": lambda: page(
        record=Record(own=(Metric("m", len),))
    ),
    "record.x has no effect with a training of the page, which predicts nothing: leave it out": lambda: page(
        record=Record(x=Window(0, 1))
    ),
    "metric 'gradient_norm' does not apply to a training of the page": lambda: page(
        record=Record(metrics=("gradient_norm",))
    ),
    "number 'seed' of FromTraining has the name of a knob: rename it": lambda: page(
        FromTraining(begin, lambda state, seed: state, measure, size=3, seed=1.0)
    ),
    "'data_seed' has no effect, as no function of FromTraining takes data_key: leave it out": lambda: page(
        axes=grid(data_seed=(0, 1))
    ),
    "'seed' has no effect, as no function of FromTraining takes key: leave it out": lambda: page(
        FromTraining(lambda: 0.0, lambda state: state, measure), axes=grid(), seed=3
    ),
    "record.snapshots has no effect with a training of the page, without predictions: leave it out": lambda: page(
        record=Record(snapshots=9)
    ),
    "unknown knob 'ratte': did you mean 'rate'?": lambda: page(axes=grid(ratte=(0.1, 0.2))),
    "unknown knob 'learning_rate': known: data_seed, rate, seed, size": lambda: page(axes=grid(learning_rate=(1, 2))),
    "size must be a whole number, as the page gives one, got 2.5; a sample draws whole numbers from integers(low, "
    "high)": lambda: page(axes=grid(size=(2.5,))),
    "begin of FromTraining must be a function, got 3": lambda: FromTraining(3, step, measure),  # type: ignore[arg-type]
    "unknown argument of begin, the begin of FromTraining, 'size': known: data_key, key": lambda: FromTraining(
        begin, lambda state: state, measure
    ),
    "unknown argument of step, the step of FromTraining, 'rate': did you mean 'ratte'?": lambda: FromTraining(
        begin, step, measure, size=3, ratte=0.1
    ),
    "number 'more' of FromTraining has no effect, as neither begin nor step nor measure takes it: give one of them an "
    "argument more, or leave it out": lambda: FromTraining(begin, step, measure, size=3, rate=0.1, more=1.0),
    "number 'key' of FromTraining has the name of an argument of its own: rename it": lambda: FromTraining(
        begin, step, measure, size=3, rate=0.1, key=1.0
    ),
    "number 'rate' of FromTraining must be a finite number, got None": lambda: FromTraining(
        begin, step, measure, size=3, rate=None
    ),
    "unknown number of FromTraining in static 'sise': did you mean 'size'?": lambda: replace(
        TRAINING, static=("sise",)
    ),
    "metrics of FromTraining must be a list of names or Metrics, got 'reward'": lambda: FromTraining(
        begin, step, measure, metrics="reward", size=3, rate=0.1
    ),
    "metrics of FromTraining must be names or Metrics, got 3": lambda: with_metrics(3),
    "metric 'm' of FromTraining has a function, but measure gives it: leave it out": lambda: with_metrics(
        Metric("m", len)
    ),
    "a metric of the page can't be named 'loss': choose another identifier": lambda: with_metrics("loss"),
    "metric 'm' of FromTraining is given twice: give it once": lambda: with_metrics("m", "m"),
    "metric 'm' states the dimension 'x', which a training of the page does not have: give one of its own a size, as "
    "dims={'place': 10}": lambda: with_metrics(Metric("m", dims="x")),
    "metric 'rate' of the page has the name of a knob: rename it": lambda: page(with_metrics("rate")),
    "metric 'm' has no function of a moment: give it one": lambda: Record(own=(Metric("m"),)),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_a_page_is_refused_in_one_line(message: str) -> None:
    with pytest.raises(SweepError) as error:
        REFUSED[message]()
    assert str(error.value) == message


def test_floats_are_traced_and_other_numbers_decide_the_code() -> None:
    shapes = [
        shape_of(page(replace(TRAINING, numbers=n))) for n in ({"rate": 0.5, "size": 3}, {"rate": 1.5, "size": 3})
    ]
    assert shapes[0] == shapes[1]
    assert shapes[0] != shape_of(page(replace(TRAINING, numbers={"rate": 0.5, "size": 4})))
    assert shapes[0] != shape_of(page(replace(TRAINING, numbers={"rate": 0.5, "size": 3}, static=("rate",))))
    resolved = resolve(page(axes=grid(rate=(1, 2), size=(3, 4), seed=(0, 1))))
    assert [len(variant.members) for variant in resolved.variants] == [4, 4]


def test_functions_may_take_anything_and_leave_defaults() -> None:
    anything = FromTraining(lambda **given: 0.0, lambda state, **given: state, measure, rate=0.1)
    assert anything.arguments("begin") is None
    assert anything.draws("data_key")
    assert FromTraining(lambda: 0.0, lambda state, rate=0.5: state, measure).numbers == {}


def test_a_store_describes_only_what_the_page_has_and_sees_what_changes() -> None:
    first = page()
    attributes = page_attributes(first)
    described = json.loads(attributes["experiment"])
    assert not {"task", "model", "optimizer", "loss", "batch_size"} & {*described}
    assert described["training"]["numbers"] == {"rate": 0.1, "size": 3}
    for changed, fields in (
        (page(replace(TRAINING, numbers={"rate": 0.2, "size": 3})), "training"),
        (page(replace(TRAINING, step=lambda state, rate: 2 * state)), "training"),
        (page(epochs=3), "epochs"),
        (first, ""),
    ):
        assert differing_fields(changed, attributes) == fields
        assert (fingerprint(changed) == fingerprint(first)) == (not fields)
    with pytest.raises(SweepError, match="uses code of its page, in a FromTraining"):
        restore(described)
