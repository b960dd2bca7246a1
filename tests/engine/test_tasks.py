"""Tasks against NumPy: targets, grids, scaling, noise, and what each seed determines."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import data_of, lives, make_plan, numbers_of, numbers_of_one, rows_of, tiny
from scipy import stats

from sweep.engine import cost, program
from sweep.engine.keys import stream
from sweep.engine.regression import tasks
from sweep.page.axes import grid
from sweep.page.specs import task as specs
from sweep.specs import MLP, XOR, FromFunction, Linear, Optimizer, Record, Sine, SumOfSines, Table, Task, Window, every


def drawn(task: Task, x: Window | None = None, **changes: float) -> Any:
    """Draw a task's data in float64."""
    with jax.enable_x64(True):

        @jax.jit
        def draw(own: dict[str, Any]) -> Any:
            return tasks.draw(task, stream(own["data_seed"], "data"), own, np.dtype("float64"), x or task.window())

        return jax.tree.map(np.asarray, draw(numbers(task, **changes)))


def numbers(task: Task, **changes: float) -> dict[str, Any]:
    page = numbers_of_one(tiny(task=task))
    found = {name: column[0] for name, column in page.items()} | changes
    return {k: jnp.asarray(v, np.uint32 if "seed" in k else np.float64) for k, v in found.items()}


def test_the_numbers_of_drawn_quantities_never_change():
    assert (tasks.POINTS, tasks.PHASES, tasks.NOISE) == (0, 1, 2)


PLACES = [("grid", 0.0, 1.0), ("grid", -2.0, 1.0), ("grid_with_end", -1.0, 2.0), ("random", 0.5, 2.0)]


@pytest.mark.parametrize(("placement", "low", "high"), PLACES)
def test_a_sum_of_sines_is_its_formula(placement, low, high):
    task = SumOfSines(
        frequencies=(1, 2.5, 4), amplitudes=(1.0, 0.5, -2.0), phases=(0.0, 1.0, 2.0),
        points=32, placement=placement, low=low, high=high,
    )  # fmt: skip
    data = drawn(task)
    x = data.points[0]
    formula = sum(
        a * np.sin(2 * np.pi * k * x + p) for k, a, p in zip((1, 2.5, 4), (1, 0.5, -2), (0, 1, 2), strict=True)
    )
    np.testing.assert_allclose(data.clean, formula, atol=1e-13)
    np.testing.assert_array_equal(data.target, data.clean)  # no noise was asked for


def test_a_sine_is_its_formula_with_swept_numbers():
    data = drawn(Sine(points=20), target_frequency=1.7, amplitude=0.3, phase=0.4)
    np.testing.assert_allclose(data.clean, 0.3 * np.sin(2 * np.pi * 1.7 * data.points[0] + 0.4), atol=1e-14)


def test_a_linear_task_is_its_formula():
    data = drawn(Linear(slopes=(2.0, -1.0), placement="random", low=-3, high=5, points=40), intercept=0.7)
    np.testing.assert_allclose(data.clean, 2 * data.points[0] - data.points[1] + 0.7, atol=1e-14)
    assert data.x_inputs is None
    assert data.x_clean is None


def test_a_function_of_a_page_gets_its_parameters():
    data = drawn(FromFunction(function=lambda x, power, shift: x**power + shift, parameters={"power": 3, "shift": 0.5}))
    np.testing.assert_allclose(data.clean, data.points[0] ** 3 + 0.5, atol=1e-14)


def test_the_parameters_of_a_function_can_be_swept():
    experiment = tiny(
        task=FromFunction(function=lambda x, power, shift: x**power + shift, parameters={"power": 3, "shift": 0.5}),
        axes=grid(power=(1, 2), shift=(0.0, 3.0)),
        precision="float64",
    )
    plan = make_plan(experiment)
    for lane, row in enumerate(rows_of(experiment)):
        data = data_of(plan, lane)
        np.testing.assert_allclose(data.clean, data.points[0] ** dict(row)["power"] + dict(row)["shift"], atol=1e-14)


def test_a_grid_is_periodic_and_has_no_point_twice():
    task = Sine(points=10, low=-1.0, high=4.0, target_frequency=0.5)
    (x,) = drawn(task).points
    np.testing.assert_allclose(x, -1 + 5 * np.arange(10) / 10, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(x, task.window().positions()[0])
    angles = np.exp(2j * np.pi * x / 5)  # places on the circle that the range is bent into
    assert np.abs(angles[:, None] - angles[None, :])[~np.eye(10, dtype=bool)].min() > 0.5


def test_a_grid_with_its_end_has_both_ends():
    (x,) = drawn(Sine(points=11, low=-1.0, high=4.0, placement="grid_with_end")).points
    np.testing.assert_allclose(x, -1 + 0.5 * np.arange(11), atol=1e-15)


def test_random_points_are_uniform_on_the_range():
    data = drawn(Linear(slopes=(1.0, 1.0), placement="random", low=-1.0, high=4.0, points=4000))
    for feature in data.points:
        assert feature.min() >= -1
        assert feature.max() < 4
        assert stats.kstest(feature, stats.uniform(-1, 5).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(data.points)[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("placement", ["grid", "grid_with_end", "random"])
def test_inputs_are_scaled_to_one_by_default(placement):
    task = SumOfSines(points=50, low=2.0, high=6.0, placement=placement)
    data, raw = drawn(task), drawn(replace(task, inputs="as_is"))
    np.testing.assert_allclose(data.inputs, (data.points - 4) / 2, atol=1e-14)
    assert data.inputs.min() >= -1
    assert data.inputs.max() <= 1
    np.testing.assert_array_equal(raw.inputs, raw.points)
    if placement == "grid_with_end":
        np.testing.assert_allclose(data.inputs[0, [0, -1]], (-1, 1))


def test_random_points_are_shown_over_a_grid():
    task = Sine(placement="random", points=30, target_frequency=2.0)
    data = drawn(task)
    x = np.linspace(0, 1, 30)
    np.testing.assert_allclose(data.x_clean, np.sin(4 * np.pi * x), atol=1e-13)
    np.testing.assert_allclose(data.x_inputs[0], 2 * x - 1, atol=1e-14)


def test_noise_is_gaussian_and_scales_with_its_deviation():
    task = Sine(points=20000)
    quiet, loud = drawn(task, noise=0.01), drawn(task, noise=0.5)
    noise = loud.target - loud.clean
    assert abs(noise.std() / 0.5 - 1) < 5 / np.sqrt(2 * 20000)  # five standard errors
    assert stats.kstest(noise / 0.5, stats.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 5 / np.sqrt(20000)
    np.testing.assert_allclose(quiet.target - quiet.clean, 0.02 * noise, atol=1e-13)  # the same draws, scaled


def test_random_phases_are_uniform_and_keep_amplitudes():
    task = SumOfSines(frequencies=(1, 3), amplitudes=(1.0, 0.25), points=16)
    with jax.enable_x64(True):
        own = numbers(task)

        def clean(seed: jax.Array) -> jax.Array:
            return tasks.draw(task, stream(seed, "data"), own, np.dtype("float64")).clean

        targets_ = np.asarray(jax.jit(jax.vmap(clean))(jnp.arange(400, dtype=jnp.uint32)))
    coefficients = np.fft.rfft(targets_)[:, [1, 3]] * 2j / 16  # a exp(i phase)
    np.testing.assert_allclose(np.abs(coefficients), np.broadcast_to((1, 0.25), (400, 2)), atol=1e-12)
    phases = np.angle(coefficients) % (2 * np.pi)
    for at in range(2):
        assert stats.kstest(phases[:, at], stats.uniform(0, 2 * np.pi).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(phases.T)[0, 1]) < 5 / np.sqrt(400)


def test_data_seed_decides_the_data_and_seed_the_weights():
    task = SumOfSines(frequencies=(1, 3), points=16, placement="random", noise=0.1)
    experiment = tiny(task=task, axes=grid(seed=(0, 1), data_seed=(0, 1)))
    plan = make_plan(experiment)
    data = {row: data_of(plan, lane) for lane, row in enumerate(rows_of(experiment))}

    def at(seed: int, data_seed: int) -> Any:
        return data[frozenset({("seed", seed), ("data_seed", data_seed)})]

    for data_seed in (0, 1):
        for one, other in zip(at(0, data_seed), at(1, data_seed), strict=True):
            np.testing.assert_array_equal(one, other)
    for name in ("points", "target", "clean"):
        assert not np.any(getattr(at(0, 0), name) == getattr(at(0, 1), name)), name


def test_a_grown_grid_draws_the_same_data():
    small, large = grid(data_seed=(4, 5)), grid(learning_rate=(1e-3, 1e-2), data_seed=(3, 4, 5, 6))
    task = SumOfSines(frequencies=(1, 3), points=16, placement="random", noise=0.1)
    one, other = tiny(task=task, axes=small), tiny(task=task, axes=large)
    before, after = make_plan(one), make_plan(other)
    for lane, row in enumerate(rows_of(one)):
        there = next(at for at, longer in enumerate(rows_of(other)) if row <= longer)
        for mine, theirs in zip(*map(jax.tree.leaves, (data_of(before, lane), data_of(after, there))), strict=True):
            assert mine.tobytes() == theirs.tobytes()


# ---------------------------------------------------------------------------------------------------------
# What the network sees of a point.

SEEN = {"scaled": 1, "as_is": 1, "standardised": 1, "circle": 2, "with_constant": 2, "with_copy": 2}


@pytest.mark.parametrize("placement", ["grid", "grid_with_end", "random"])
def test_standardised_inputs_have_mean_0_and_deviation_1_over_the_training_points(placement):
    data = drawn(Sine(points=40, low=2.0, high=9.0, placement=placement, inputs="standardised"), Window(-5.0, 20.0, 30))
    (x,) = data.points
    mean, deviation = x.mean(), np.sqrt(np.mean((x - x.mean()) ** 2))  # of a population, as StandardScaler takes it
    np.testing.assert_allclose(data.inputs[0], (x - mean) / deviation, atol=1e-13)
    np.testing.assert_allclose(data.x_inputs[0], (np.linspace(-5, 20, 30) - mean) / deviation, atol=1e-13)


@pytest.mark.parametrize(("low", "high"), [(-np.pi, np.pi), (0.0, 3.0)])
def test_on_the_circle_inputs_are_the_cosine_and_sine_of_an_angle_that_goes_round_once(low, high):
    data = drawn(Sine(points=40, low=low, high=high, placement="random", inputs="circle"), Window(low, 2 * high, 30))
    for x, seen in ((data.points[0], data.inputs), (np.linspace(low, 2 * high, 30), data.x_inputs)):
        t = x if high == np.pi else 2 * np.pi * x / 3
        np.testing.assert_allclose(seen, [np.cos(t), np.sin(t)], atol=1e-14)


def test_inputs_may_include_a_constant_or_a_copy_of_x():
    for inputs, beside in (("with_constant", np.ones_like), ("with_copy", np.copy)):
        data = drawn(Sine(points=40, low=-2.0, high=5.0, placement="random", inputs=inputs), Window(-4.0, 7.0, 30))
        for x, seen in ((data.points[0], data.inputs), (np.linspace(-4, 7, 30), data.x_inputs)):
            np.testing.assert_array_equal(seen, [x, beside(x)])
    many = drawn(Linear(slopes=(1.0, 2.0), placement="random", points=5, inputs="with_copy"))
    np.testing.assert_array_equal(many.inputs, np.concatenate([many.points, many.points]))


@pytest.mark.parametrize("inputs", specs.INPUTS)
def test_the_first_layer_and_the_cost_use_the_number_of_inputs(inputs):
    page = tiny(task=Sine(points=16, inputs=inputs), model=MLP(width=10, depth=2))
    block, own = numbers_of(make_plan(page), 0)
    lane, data = jax.eval_shape(lambda: program.begin(block, {k: jnp.asarray(v) for k, v in own.items()}))
    assert lane.state.parameters["layer_0"]["kernel"].shape == (SEEN[inputs], 10)
    assert data.inputs.shape == (SEEN[inputs], 16)
    products = 6 * 16 * (SEEN[inputs] * 10 + 10 * 10 + 10) / cost.FLOPS["cpu"]
    rest = 16 * 20 / cost.ACTIVATIONS["cpu"]
    assert cost.step_seconds(block.training.cost(), "cpu") == pytest.approx(products + rest)


# ---------------------------------------------------------------------------------------------------------
# Tables.

BADLY_SCALED = Table(rows=((1000, 0.1), (2000, 0.2), (3000, 0.3)), targets=(1, 2, 3), inputs="as_is")


def test_a_table_is_its_rows_and_targets():
    data = drawn(BADLY_SCALED)
    np.testing.assert_array_equal(data.points, [[1000, 2000, 3000], [0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(data.inputs, data.points)
    np.testing.assert_array_equal(data.clean, [1, 2, 3])
    assert data.x_inputs is None
    noisy = drawn(replace(BADLY_SCALED, noise=0.5))
    np.testing.assert_array_equal(noisy.clean, [1, 2, 3])
    assert not np.any(noisy.target == noisy.clean)
    np.testing.assert_array_equal(drawn(replace(BADLY_SCALED, rows=((1, 5), (2, 5), (3, 5)))).points[1], [5, 5, 5])
    assert BADLY_SCALED.points == 3
    assert BADLY_SCALED.window() is None


def test_a_table_is_standardised_column_by_column():
    x = np.array(BADLY_SCALED.rows)
    exact = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(drawn(replace(BADLY_SCALED, inputs="standardised")).inputs, exact.T, atol=1e-12)


def test_gradient_descent_on_a_badly_scaled_table_is_that_of_numpy():
    experiment = tiny(
        task=BADLY_SCALED, model=MLP(depth=0, initializer="normal", bias_initializer="normal"),
        optimizer=Optimizer("sgd", learning_rate=5e-8), epochs=40, precision="float64",
        record=Record(metrics=("loss",), at=every(1)),
    )  # fmt: skip
    (life,) = lives(make_plan(experiment))
    first, last = (
        np.append(own["kernel"][:, 0], own["bias"]) for own in (life.states[at].parameters["layer_0"] for at in (0, -1))
    )
    x, y, w = np.array([[1000, 0.1, 1], [2000, 0.2, 1], [3000, 0.3, 1]]), np.array([1.0, 2.0, 3.0]), first
    for step in range(41):
        np.testing.assert_allclose(life.curves["loss"][step], np.mean((x @ w - y) ** 2), rtol=1e-9)
        w = w - 5e-8 * 2 / 3 * x.T @ (x @ w - y)
    # In closed form: the distance from least squares shrinks along the first column and hardly elsewhere.
    best, once = np.linalg.lstsq(x, y, rcond=None)[0], np.eye(3) - 5e-8 * 2 / 3 * x.T @ x
    np.testing.assert_allclose(last, best + np.linalg.matrix_power(once, 40) @ (first - best), rtol=1e-9)


def finished(model: MLP, parameters: Any, loss: str, task: Table = XOR) -> dict[str, float]:
    """Measure given parameters on a table, as a record does."""
    with jax.enable_x64(True):
        record = Record(metrics=("accuracy",), snapshots=0)
        page = tiny(task=task, model=model, loss=loss, precision="float64", record=record)
        block, own = numbers_of(make_plan(page), 0)
        traced = {k: jnp.asarray(v) for k, v in own.items()}
        lane, data = jax.jit(partial(program.begin, block))(traced)
        chosen = jax.tree.map(jnp.asarray, parameters or lane.state.parameters)
        lane = lane._replace(state=lane.state._replace(parameters=chosen))
        measured = jax.jit(partial(program.finish, block))(traced, data, lane, jnp.int32(0))[1]
        return {name: value.tolist() for name, value in measured.items()}


BOTH = [("binary_cross_entropy", "sigmoid"), ("binary_cross_entropy_with_logits", "identity")]


@pytest.mark.parametrize(("loss", "output"), BOTH)
def test_on_xor_an_undecided_network_has_the_loss_ln_2_and_is_right_half_the_time(loss, output):
    model = MLP(width=2, depth=1, activation="relu", output_activation=output, initializer="zeros")
    found = finished(model, None, loss)
    assert found["loss"] == pytest.approx(np.log(2), rel=1e-12)
    assert found["accuracy"] == 0.5
    conjunction = replace(XOR, targets=(0, 0, 0, 1))  # on the boundary counts as class 0, as with Keras
    assert finished(model, None, loss, conjunction)["accuracy"] == 0.75


@pytest.mark.parametrize(("loss", "output"), BOTH)
def test_two_neurons_solve_xor(loss, output):
    # 20 (relu(a + b) - 2 relu(a + b - 1)) - 10 is -10, 10, 10, -10.
    parameters = {
        "layer_0": {"kernel": np.ones((2, 2)), "bias": np.array([0.0, -1.0])},
        "layer_1": {"kernel": np.array([[20.0], [-40.0]]), "bias": np.array([-10.0])},
    }
    model = MLP(width=2, depth=1, activation="relu", output_activation=output)
    found = finished(model, parameters, loss)
    assert found["accuracy"] == 1
    assert found["loss"] == pytest.approx(np.log1p(np.exp(-10)), rel=1e-6)
    parameters["layer_1"]["bias"] = np.array([10.0])  # 10, 30, 30, 10: all of class 1
    assert finished(model, parameters, loss)["accuracy"] == 0.5
