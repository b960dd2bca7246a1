"""Tasks against NumPy: targets, grids, scaling, noise, and which seed decides what."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import data_of, planned, rows_of, tiny
from scipy import stats

from sweep import tasks
from sweep.axes import Axes, grid, lay_out
from sweep.specs import FromFunction, Linear, Sine, SumOfSines, Task
from sweep.specs import task as specs
from sweep.tasks import targets


def drawn(task: Task, **changes: float) -> Any:
    """Draw a task's data in float64."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, tasks.draw(task, numbers(task, **changes), np.dtype("float64"), task.window()))


def numbers(task: Task, **changes: float) -> dict[str, Any]:
    page = tiny(task=task).numbers(lay_out(Axes()), np.array([0]))
    found = {name: column[0] for name, column in page.items()} | changes
    return {k: jnp.asarray(v, np.uint32 if "seed" in k else np.float64) for k, v in found.items()}


def test_every_task_has_its_target_function():
    kinds = {kind for kind in vars(specs).values() if isinstance(kind, type) and issubclass(kind, Task)} - {Task}
    assert set(targets.TARGETS) == kinds


def test_what_is_drawn_keeps_its_numbers_for_good():
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


def test_a_function_of_the_pages_own_gets_its_parameters():
    data = drawn(FromFunction(function=lambda x, power, shift: x**power + shift, parameters={"power": 3, "shift": 0.5}))
    np.testing.assert_allclose(data.clean, data.points[0] ** 3 + 0.5, atol=1e-14)


def test_the_parameters_of_a_function_can_be_swept():
    experiment = tiny(
        task=FromFunction(function=lambda x, power, shift: x**power + shift, parameters={"power": 3, "shift": 0.5}),
        axes=grid(power=(1, 2), shift=(0.0, 3.0)),
        precision="float64",
    )
    plan = planned(experiment)
    for lane, row in enumerate(rows_of(experiment)):
        data = data_of(plan, lane)
        np.testing.assert_allclose(data.clean, data.points[0] ** dict(row)["power"] + dict(row)["shift"], atol=1e-14)


def test_a_grid_is_periodic_and_has_no_point_twice():
    task = Sine(points=10, low=-1.0, high=4.0, target_frequency=0.5)
    (x,) = drawn(task).points
    np.testing.assert_allclose(x, -1 + 5 * np.arange(10) / 10, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(x, task.window().values())
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
def test_inputs_are_scaled_to_one_unless_asked_for_as_they_are(placement):
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


def test_noise_is_gaussian_of_the_deviation_asked_for_and_independent_of_it():
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
            return tasks.draw(task, own | {"data_seed": seed}, np.dtype("float64")).clean

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
    plan = planned(experiment)
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
    before, after = planned(one), planned(other)
    for lane, row in enumerate(rows_of(one)):
        there = next(at for at, longer in enumerate(rows_of(other)) if row <= longer)
        for mine, theirs in zip(data_of(before, lane), data_of(after, there), strict=True):
            assert mine.tobytes() == theirs.tobytes()
