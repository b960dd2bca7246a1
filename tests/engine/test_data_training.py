"""Data of one's own in the engine: trained as a plain loop trains, held once, its validation never seen by a step."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Life, data_of, lives, make_plan, tiny

from sweep import Data, Experiment, Optimizer, grid
from sweep.engine.program import NEVER, lane_shapes
from sweep.specs import MLP, Loss, Record, every

RNG = np.random.default_rng(3)
X = RNG.normal(size=(23, 3))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
TWO = np.stack([Y, X[:, 0] ** 2], axis=1)
WORDS = np.array(["left", "middle", "right"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0)]
LOSSES = Record(metrics=("loss",), at=every(1), snapshots=3)
ON_BOTH = Record(metrics=("loss", "validation_loss"), at=every(1), snapshots=0)


def page(task: Data, **changes: Any) -> Experiment:
    settings = {
        "model": MLP(width=5, depth=1), "optimizer": Optimizer("sgd", learning_rate=0.1), "epochs": 6, "record": LOSSES,
    }  # fmt: skip
    return tiny(task=task, precision="float64", **(settings | changes))


def output(parameters: Any, x: Any) -> Any:
    """The network on rows, of shape (points, outputs)."""
    hidden = np.tanh(x @ parameters["layer_0"]["kernel"] + parameters["layer_0"]["bias"])
    return hidden @ parameters["layer_1"]["kernel"] + parameters["layer_1"]["bias"]


def mean_squared(h: Any, y: Any) -> Any:
    return ((h.reshape(y.shape) - y) ** 2).mean()


def softmax(h: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(h, y).mean()


KINDS: dict[str, Any] = {
    "one target": (Data(X, Y), {}, mean_squared),
    "two targets": (Data(X, TWO, target_names=("saddle", "square")), {}, mean_squared),
    "classes": (
        Data(X, WORDS, validation=(X[:9], WORDS[:9])),
        {"loss": "cross_entropy", "record": replace(LOSSES, metrics=("accuracy", "validation_accuracy"))},
        softmax,
    ),
    "integers": (Data(X, (X[:, 0] > 0).astype(int) + 7), {"loss": "cross_entropy"}, softmax),
    "validation": (Data(X, Y, validation=(X[:4] + 1, Y[:4])), {}, mean_squared),
}


QUICK = ("two targets", "classes")


@cache
def trained(kind: str) -> Life:
    """Train a lane of one of these."""
    task, changes, _ = KINDS[kind]
    (life,) = lives(make_plan(page(task, **changes)))
    return life


@pytest.mark.parametrize("kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KINDS])
def test_lanes_are_trained_as_a_plain_loop_trains_them(kind: str) -> None:
    (task, _, loss), life = KINDS[kind], trained(kind)
    y = task.targets_as("classes" in kind or kind == "integers")[: task.points]
    with jax.enable_x64(True):
        parameters = jax.tree.map(jnp.asarray, life.states[0].parameters)
        differentiate = jax.jit(jax.value_and_grad(lambda each: loss(_jax_output(each, X), jnp.asarray(y))))
        for step in range(6):
            value, gradient = differentiate(parameters)
            assert life.curves["loss"][step] == pytest.approx(float(value), rel=1e-9)
            parameters = jax.tree.map(lambda p, g: p - 0.1 * g, parameters, gradient)
        for ours, theirs in zip(jax.tree.leaves(life.states[-1].parameters), jax.tree.leaves(parameters), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    shown = output(life.states[-1].parameters, X[task.samples()[task.samples() < 23]])
    np.testing.assert_allclose(life.curves["sample_prediction"][-1].reshape(-1)[: shown.size], shown.ravel(), rtol=1e-9)


def _jax_output(parameters: Any, x: Any) -> Any:
    hidden = jnp.tanh(jnp.asarray(x) @ parameters["layer_0"]["kernel"] + parameters["layer_0"]["bias"])
    return hidden @ parameters["layer_1"]["kernel"] + parameters["layer_1"]["bias"]


def test_classes_are_judged_by_the_largest_output() -> None:
    life = trained("classes")
    number = {"left": 0, "middle": 1, "right": 2}
    right = output(life.states[-1].parameters, X).argmax(axis=1) == np.array([number[word] for word in WORDS])
    assert life.curves["accuracy"][-1] == pytest.approx(right.mean())
    assert life.curves["validation_accuracy"][-1] == pytest.approx(right[:9].mean())


BATCHED = Data(X, Y, validation=0.3, standardise="both")


def by_seeds(task: Data, **axes: Any) -> dict[tuple[int, int], Life]:
    """Train for some seeds, by (seed, data_seed)."""
    experiment = page(task, axes=grid(**axes), batch_size=5, record=ON_BOTH, model=MLP(depth=0))
    found = lives(make_plan(experiment))
    seeds = [(s, d) for s in axes.get("seed", (0,)) for d in axes.get("data_seed", (0,))]
    return dict(zip(seeds, found, strict=True))


def test_data_are_held_once_unless_lanes_differ_in_them() -> None:
    once, apart = (
        make_plan(page(BATCHED, axes=grid(**{name: (0, 1)}), batch_size=5)) for name in ("seed", "data_seed")
    )
    with jax.enable_x64(True):
        shapes = [
            lane_shapes(plan.programs[0].blocks[0], tuple(plan.programs[0].numbers[0]))[0] for plan in (once, apart)
        ]
    assert shapes[0].data is None
    assert shapes[0].shared.rows.shape == (16, 3)
    assert shapes[1].data.rows.shape == (16, 3)
    own, drawn = by_seeds(BATCHED, seed=(0, 1)), by_seeds(BATCHED, data_seed=(0, 1))
    for name, values in own[0, 0].curves.items():  # the same points in the same batches
        np.testing.assert_allclose(values, drawn[0, 0].curves[name], rtol=1e-12, atol=1e-14)
    assert own[0, 0].curves["validation_loss"][0] != drawn[0, 1].curves["validation_loss"][0]


def test_data_that_nothing_is_drawn_of_are_held_once_for_all_data_seeds() -> None:
    assert Data(X, Y).is_common(("data_seed",))
    assert not Data(X, Y, noise=0.1).is_common(("data_seed",))
    assert not Data(X, Y).is_common(("noise",))


@pytest.mark.parametrize("batch_size", [pytest.param(None, marks=pytest.mark.slow), 5])
def test_no_step_sees_a_point_for_validation(batch_size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.page.specs.data._check_columns", lambda *_: None)  # which refuses what overflows
    curves = []
    for factor in (1.0, 1e200):
        task = Data(X[:16], Y[:16], validation=(X[16:] * factor, Y[16:] * factor))
        (life,) = lives(make_plan(page(task, batch_size=batch_size, record=ON_BOTH, model=MLP(depth=0))))
        curves.append(life)
    for ours, theirs in zip(*(jax.tree.leaves(life.states) for life in curves), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(curves[0].curves["loss"], curves[1].curves["loss"])
    assert not np.array_equal(curves[0].curves["validation_loss"], curves[1].curves["validation_loss"])


def test_a_share_for_validation_is_standardised_by_the_rows_that_are_trained_on() -> None:
    plan = make_plan(page(replace(BATCHED, standardise="both"), axes=grid(data_seed=(0, 1)), batch_size=5))
    seen = []
    for lane in (0, 1):
        data = data_of(plan, lane)
        rows = data.rows * data.scales.input_deviation + data.scales.input_mean
        held = data.validation_inputs.T * data.scales.input_deviation + data.scales.input_mean
        np.testing.assert_allclose(data.rows.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.target.std(), 1, rtol=1e-12)
        together = np.concatenate([rows, held])
        np.testing.assert_allclose(together[np.lexsort(together.T)], X[np.lexsort(X.T)], rtol=1e-12)
        assert data.is_validation.sum() == len(held) == 7
        seen.append(held)
    assert not np.allclose(seen[0], seen[1])


def test_a_lane_that_is_lost_harms_no_other() -> None:
    wild, calm = (
        lives(make_plan(page(BATCHED, axes=grid(learning_rate=(0.1, rate, 0.05)), record=ON_BOTH)))
        for rate in (1e200, 0.2)
    )
    assert wild[1].first_bad_step != NEVER
    for lane in (0, 2):
        for name, values in wild[lane].curves.items():
            np.testing.assert_array_equal(values, calm[lane].curves[name])


def own_loss(h: Any, y: Any, power: Any) -> Any:
    return abs(h - y) ** power


def test_loss_numbers_differ_between_lanes_of_one_program() -> None:
    plan = make_plan(page(Data(X, Y), loss=Loss(own_loss, power=2.0), axes=grid(power=(2.0, 4.0))))
    assert len(plan.programs[0].blocks) == 1
    two, four = lives(plan)
    gap = abs(output(two.states[0].parameters, X)[:, 0] - Y)
    assert two.curves["loss"][0] == pytest.approx((gap**2).mean(), rel=1e-9)
    assert four.curves["loss"][0] == pytest.approx((gap**4).mean(), rel=1e-9)


def test_a_column_that_never_differs_is_only_shifted() -> None:
    """Its deviation in float32 is rounding, by which nothing may be divided."""
    rows = np.stack([np.full(13, 0.1), np.linspace(0, 1, 13)], axis=1)
    task = Data(rows, rows[:, 1], standardise="inputs", validation=(rows + np.array([0.1, 0]), rows[:, 1]))
    experiment = replace(page(task, axes=grid(noise=(0.0, 0.1))), precision="float32")  # so that lanes have their own
    data = data_of(make_plan(experiment), 0)
    assert data.scales.input_deviation[0] == 1
    np.testing.assert_allclose(data.inputs[0], 0, atol=1e-6)
    np.testing.assert_allclose(data.validation_inputs[0], 0.1, atol=1e-6)
