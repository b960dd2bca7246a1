"""Metrics against NumPy and plain Flax, and the cadence of records."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Life, Plain, data_of, lives, make_plan, tiny, to_flax
from hypothesis import given
from hypothesis import strategies as st

from sweep.axes import grid, zipped
from sweep.base.errors import SweepError
from sweep.engine.regression import metrics
from sweep.engine.regression.tasks import Data
from sweep.page.resolve import shape_of
from sweep.page.specs.record import Cadence
from sweep.runs import planning
from sweep.specs import MLP, FromFunction, Metric, Optimizer, Record, Task, every, linear_spaced, log_spaced

# ---------------------------------------------------------------------------------------------------------
# The spectral error of known signals.


def task_of(
    placement: str, frequencies: tuple[float, ...], points: int = 64, low: float = 0.0, high: float = 1.0
) -> Task:
    return FromFunction(
        function=abs, frequencies=frequencies, placement=placement, points=points, low=low, high=high
    )  # fmt: skip


def points_of(task: Task) -> np.ndarray:
    if task.placement == "random":
        return np.random.default_rng(1).uniform(task.low, task.high, task.points)
    return np.linspace(task.low, task.high, task.points, endpoint=task.placement == "grid_with_end")


def spectral_error(task: Task, f: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Compute sweep's spectral error of values h of a network against values f of a target."""
    with jax.enable_x64(True):
        x = jnp.asarray(points_of(task))[None, :]
        data = Data(x, x, jnp.asarray(f), jnp.asarray(f), None, None)
        nothing: Any = None
        moment = metrics.Moment(
            shape_of(tiny(task=task)), jnp.int32(0), {}, data, nothing, nothing, nothing, nothing, jnp.asarray(h),
            None, None, None,
        )  # fmt: skip
        return np.asarray(metrics.spectral_error(moment))


def waves(task: Task, amplitudes: tuple[float, ...], phases: tuple[float, ...]) -> np.ndarray:
    x, listed = points_of(task), task.reported_frequencies()
    return sum(a * np.sin(2 * np.pi * k * x + p) for k, a, p in zip(listed, amplitudes, phases, strict=True))


TASKS = {
    "a periodic grid": task_of("grid", (1.0, 3.0, 8.0)),
    "a periodic grid elsewhere": task_of("grid", (0.5, 1.5, 4.0), low=-3.0, high=1.0),
    "broken frequencies on a grid": task_of("grid", (1.3, 3.1, 7.9)),
    "a grid with its end": task_of("grid_with_end", (1.0, 3.0, 8.0), low=-0.5, high=0.5),
    "random points": task_of("random", (1.0, 3.0, 7.5)),
}


@pytest.mark.core
@pytest.mark.parametrize("where", TASKS)
def test_the_spectral_error_of_known_signals_is_exact(where):
    task = TASKS[where]
    amplitudes, phases = (1.0, 0.5, 2.0), (0.3, 1.0, 2.0)
    f = waves(task, amplitudes, phases)
    np.testing.assert_allclose(spectral_error(task, f, 0.75 * f), (0.25, 0.25, 0.25), atol=1e-9)
    np.testing.assert_allclose(spectral_error(task, f, -f), (2, 2, 2), atol=1e-9)
    np.testing.assert_allclose(spectral_error(task, f, f + 5.0), (0, 0, 0), atol=1e-9)  # a constant is no frequency
    late = waves(task, amplitudes, (0.3, 1.0 + 0.4, 2.0))  # |1 - exp(i d)| = 2 sin(d / 2)
    np.testing.assert_allclose(spectral_error(task, f, late), (0, 2 * np.sin(0.2), 0), atol=1e-9)
    mute = waves(task, (1.0, 0.5, 0.0), phases)
    np.testing.assert_allclose(spectral_error(task, f, mute), (0, 0, 1), atol=1e-9)


@pytest.mark.parametrize("where", ["a periodic grid", "a periodic grid elsewhere"])
def test_the_spectral_error_on_a_periodic_grid_is_that_of_the_discrete_fourier_transform(where):
    task, rng = TASKS[where], np.random.default_rng(2)
    f, h = rng.normal(size=(2, task.points))
    bins = (np.array(task.reported_frequencies()) * (task.high - task.low)).round().astype(int)
    wanted, got = np.fft.fft(f)[bins], np.fft.fft(h)[bins]
    np.testing.assert_allclose(spectral_error(task, f, h), abs(wanted - got) / abs(wanted), rtol=1e-10)


@pytest.mark.parametrize("where", ["broken frequencies on a grid", "a grid with its end", "random points"])
def test_the_spectral_error_elsewhere_is_that_of_least_squares(where):
    task, rng = TASKS[where], np.random.default_rng(2)
    f, h = rng.normal(size=(2, task.points))
    angles = 2 * np.pi * points_of(task)[:, None] * np.array(task.reported_frequencies())
    design = np.concatenate([np.ones((task.points, 1)), np.cos(angles), np.sin(angles)], axis=1)
    fitted = np.linalg.lstsq(design, np.stack([f, h], axis=1), rcond=None)[0][1:]
    wanted, got = (fitted[:3] - 1j * fitted[3:]).T
    np.testing.assert_allclose(spectral_error(task, f, h), abs(wanted - got) / abs(wanted), rtol=1e-9)


# ---------------------------------------------------------------------------------------------------------
# Everything else, on lanes that were trained.


def absolute_error_in_the_middle(moment: Any) -> jax.Array:
    return jnp.abs(moment.prediction[8] - moment.data.clean[8])


OWN = Metric("middle_error", absolute_error_in_the_middle, units="V")


@pytest.fixture(scope="module", params=["grid", "random"])
def measured(request):
    """A trained lane with noise, its data, and its network in Flax."""
    task = FromFunction(
        function=lambda x: jnp.sin(7 * x) + x, frequencies=(1.0, 2.5), points=24, placement=request.param, noise=0.3
    )
    loss = "mean_squared" if request.param == "grid" else "half_summed_squared"
    experiment = tiny(
        task=task, model=MLP(hidden=(5, 4), bias_initializer="normal"), axes=grid(seed=(0, 1), data_seed=(0, 3)),
        loss=loss, precision="float64", epochs=20, record=Record(own=(OWN,), at=linear_spaced(2)),
    )  # fmt: skip
    plan = make_plan(experiment)
    return experiment, lives(plan)[3], data_of(plan, 3)


def plain_loss(name: str, h: Any, y: Any) -> Any:
    return ((h - y) ** 2).mean() if name == "mean_squared" else ((h - y) ** 2).sum() / 2


def network_of(life: Life, record_number: int) -> tuple[Any, Any]:
    parameters = jax.tree.map(jnp.asarray, to_flax(life.states[record_number].parameters))
    return Plain((5, 4), "tanh", True, jnp.float64), parameters


def test_losses_are_those_of_the_networks_output(measured):
    experiment, life, data = measured
    with jax.enable_x64(True):
        for number in range(3):
            module, parameters = network_of(life, number)
            h = np.asarray(module.apply(parameters, data.inputs.T))
            np.testing.assert_allclose(life.curves["loss"][number], plain_loss(experiment.loss, h, data.target))
            np.testing.assert_allclose(life.curves["clean_loss"][number], plain_loss(experiment.loss, h, data.clean))
            np.testing.assert_allclose(life.curves["middle_error"][number], abs(h[8] - data.clean[8]))
    assert not np.allclose(life.curves["loss"], life.curves["clean_loss"], rtol=0.01)


def test_predictions_and_errors_are_read_on_the_grid_of_x(measured):
    experiment, life, _ = measured
    x = np.arange(24) / 24 if experiment.task.placement == "grid" else np.linspace(0, 1, 24)
    np.testing.assert_allclose(life.target, np.sin(7 * x) + x, atol=1e-13)
    with jax.enable_x64(True):
        for number in range(3):
            module, parameters = network_of(life, number)
            h = np.asarray(module.apply(parameters, jnp.asarray(2 * x - 1)[:, None]))
            np.testing.assert_allclose(life.curves["prediction"][number], h, rtol=1e-9)
            np.testing.assert_allclose(life.curves["spatial_error"][number], abs(life.target - h), atol=1e-12)


# On a grid also as XLA optimises it.
@pytest.mark.parametrize("measured", [pytest.param("grid", marks=pytest.mark.core), "random"], indirect=True)
def test_gradient_norms_are_those_of_jax_through_flax_layers(measured):
    experiment, life, data = measured
    with jax.enable_x64(True):
        for number in range(3):
            module, parameters = network_of(life, number)

            def loss(parameters: Any, module: Any = module) -> Any:
                return plain_loss(experiment.loss, module.apply(parameters, data.inputs.T), data.target)

            layers = jax.jit(jax.grad(loss))(parameters)["params"]
            norms = [np.sqrt(sum(np.sum(np.square(v)) for v in layers[f"Dense_{n}"].values())) for n in range(3)]
            np.testing.assert_allclose(life.curves["gradient_norm"][number], norms, rtol=1e-9)


def test_the_parameter_norm_is_that_of_all_weights_and_biases(measured):
    _, life, _ = measured
    for number in range(3):
        leaves = jax.tree.leaves(life.states[number].parameters)
        norm = np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in leaves]))
        np.testing.assert_allclose(life.curves["parameter_norm"][number], norm, rtol=1e-12)


def test_the_spectral_error_of_a_lane_compares_the_network_with_the_noiseless_target(measured):
    _, life, data = measured
    angles = 2 * np.pi * data.points[0][:, None] * np.array([1.0, 2.5])
    design = np.concatenate([np.ones((24, 1)), np.cos(angles), np.sin(angles)], axis=1)
    with jax.enable_x64(True):
        for number in range(3):
            module, parameters = network_of(life, number)
            h = np.asarray(module.apply(parameters, data.inputs.T))
            fitted = np.linalg.lstsq(design, np.stack([data.clean, h], axis=1), rcond=None)[0][1:]
            wanted, got = (fitted[:2] - 1j * fitted[2:]).T
            np.testing.assert_allclose(
                life.curves["spectral_error"][number], abs(wanted - got) / abs(wanted), rtol=1e-9
            )  # fmt: skip


def test_a_metric_of_another_shape_than_stated_is_refused():
    wrong = Metric("wrong", lambda moment: moment.prediction[:3], dims=("x",))
    experiment = tiny(record=Record(own=(wrong,)), axes=grid(seed=(0,)))
    with pytest.raises(SweepError) as refused:
        planning.plan_sweep(experiment)
    assert str(refused.value) == (
        "metric 'wrong' states the dimensions ('x',) of sizes (16,), but its function returns an array of shape (3,)"
    )


def test_a_complex_metric_is_refused():
    wrong = Metric("wrong", lambda moment: moment.loss * 1j)
    with pytest.raises(SweepError, match=r"^metric 'wrong' must return real numbers, got complex ones: take jnp.abs"):
        planning.plan_sweep(tiny(record=Record(own=(wrong,)), axes=grid(seed=(0,))))


def cross_entropy(p: Any, y: Any) -> Any:
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


def test_accuracy_is_the_share_of_points_on_the_right_side_and_both_losses_of_classes_are_one_training():
    experiment = tiny(
        task=FromFunction(function=lambda x: (jnp.sin(15 * x) > 0).astype(x.dtype), points=24),
        axes=zipped(loss_function=("binary_cross_entropy", "binary_cross_entropy_with_logits"),
                    output_activation=("sigmoid", "identity")),
        model=MLP(width=6, depth=1), loss="binary_cross_entropy",
        optimizer=Optimizer("adam", learning_rate=0.05), epochs=40, precision="float64",
        record=Record(metrics=("accuracy",), at=every(1)),
    )  # fmt: skip
    classes = np.where(np.sin(15 * np.arange(24) / 24) > 0, 1.0, 0.0)
    by_probability, by_logit = lives(make_plan(experiment))
    for life, boundary in ((by_probability, 0.5), (by_logit, 0.0)):
        right = (life.curves["prediction"] > boundary) == (classes == 1)
        np.testing.assert_allclose(life.curves["accuracy"], right.mean(axis=1), atol=1e-15)
        assert len(set(life.curves["accuracy"])) > 2
    p = 1 / (1 + np.exp(-by_logit.curves["prediction"]))
    np.testing.assert_allclose(by_probability.curves["prediction"], p, rtol=1e-8)
    for life in (by_probability, by_logit):
        np.testing.assert_allclose(life.curves["loss"], cross_entropy(p, classes).mean(axis=1), rtol=1e-8)


def test_other_losses_have_no_accuracy():
    assert "accuracy" not in tiny(record=Record()).metrics()
    with pytest.raises(SweepError, match="metric 'accuracy' does not apply"):
        tiny(record=Record(metrics=("accuracy",)))


# ---------------------------------------------------------------------------------------------------------
# When records are taken.

CADENCES = st.one_of(
    st.builds(log_spaced, st.integers(1, 300)),
    st.builds(linear_spaced, st.integers(1, 300)),
    st.builds(every, st.integers(1, 10**6)),
)


@given(CADENCES, st.integers(1, 10**6))
def test_records_begin_at_0_end_at_the_last_step_and_increase(cadence, last):
    steps = cadence.steps(last)
    assert steps.dtype == np.int64
    assert steps[0] == 0
    assert steps[-1] == last
    assert (np.diff(steps) > 0).all()
    if cadence.form == "every":
        assert (np.diff(steps)[:-1] == cadence.value).all()
    else:
        assert len(steps) <= cadence.value + 2


def test_cadences_are_spaced_as_their_names_say():
    assert linear_spaced(5).steps(100).tolist() == [0, 20, 40, 60, 80, 100]
    assert every(30).steps(100).tolist() == [0, 30, 60, 90, 100]
    assert log_spaced(3).steps(100).tolist() == [0, 1, 10, 100]
    assert log_spaced(1).steps(100).tolist() == [0, 100]
    assert log_spaced(50).steps(4).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("value", "what"), [(0, "have a number greater than 0"), (-3, "have a number"), (float("nan"), "be a finite")]
)
def test_a_cadence_without_records_is_refused(value, what):
    with pytest.raises(SweepError, match=rf"record\.at must {what}.*, got"):
        Cadence("log", value)


def test_records_follow_epochs():
    one = tiny(record=Record(at=log_spaced(4)))
    for epochs in (3, 12, 500):
        assert make_plan(replace(one, epochs=epochs)).epochs[-1] == epochs
