"""A lane is an ordinary training: against Flax and optax loops, closed forms, NumPy, and itself elsewhere."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from helpers import (
    LOSS_ONLY,
    Life,
    assert_bitwise,
    by_row,
    data_of,
    lives,
    numbers_of,
    planned,
    rows_of,
    run_lanes,
    tiny,
)
from jax.flatten_util import ravel_pytree

from sweep import execute, train
from sweep import plan as planning
from sweep.axes import grid, zipped
from sweep.experiment import LOSSES, Experiment
from sweep.specs import MLP, Linear, Optimizer, Record, Sine, SumOfSines, every, linear_spaced
from sweep.specs.model import ACTIVATIONS
from sweep.specs.optimizer import OPTIMIZERS, SCHEDULES

# ---------------------------------------------------------------------------------------------------------
# Against a plain Flax + optax loop: nothing in the reference is sweep's but initial parameters and data.

STEPS = 100
POINTS = 16
REFERENCE_ACTIVATIONS = {
    "tanh": nn.tanh, "relu": nn.relu, "sine": jnp.sin, "cosine": jnp.cos, "sigmoid": nn.sigmoid, "gelu": nn.gelu,
    "softplus": nn.softplus, "silu": nn.silu, "elu": nn.elu, "identity": lambda z: z,
}  # fmt: skip
REFERENCE_LOSSES = {
    "mean_squared": lambda h, y: jnp.mean((h - y) ** 2),
    "summed_squared": lambda h, y: jnp.sum((h - y) ** 2),
    "half_summed_squared": lambda h, y: jnp.sum((h - y) ** 2) / 2,
    "mean_absolute": lambda h, y: jnp.mean(jnp.abs(h - y)),
}


class Plain(nn.Module):
    """A network as a tutorial writes it: points first."""

    hidden: tuple[int, ...]
    activation: str
    bias: bool
    dtype: Any

    @nn.compact
    def __call__(self, x):
        for width in self.hidden:
            x = nn.Dense(width, use_bias=self.bias, param_dtype=self.dtype)(x)
            x = REFERENCE_ACTIVATIONS[self.activation](x)
        return nn.Dense(1, use_bias=self.bias, param_dtype=self.dtype)(x)[:, 0]


def rates_of(schedule: str, peak: float, fraction: float, steps: int) -> np.ndarray:
    """Give the learning rate of each step, in closed form."""
    done = np.arange(steps + 1)
    warmup = round(0.1 * steps)

    def cosine(share: np.ndarray) -> np.ndarray:
        return (1 - fraction) * (1 + np.cos(np.pi * share)) / 2 + fraction

    return peak * {
        "constant": lambda: np.ones(steps + 1),
        "linear": lambda: 1 + (fraction - 1) * done / steps,
        "cosine": lambda: cosine(done / steps),
        "exponential": lambda: fraction ** (done / steps),
        "warmup_cosine": lambda: np.where(
            done < warmup, done / warmup, cosine(np.maximum(done - warmup, 0) / (steps - warmup))
        ),
    }[schedule]()


def reference_optimizer(spec: Optimizer, rate: float, steps: int) -> optax.GradientTransformation:
    """Build the optimiser from optax's own factories and plain numbers, with its rates looked up in a table."""
    rates = jnp.asarray(rates_of(spec.schedule, rate, spec.final_fraction or 0.0, steps))

    def schedule(count: jax.Array) -> jax.Array:
        return rates[count]

    decay = spec.weight_decay
    return {
        "sgd": lambda: optax.chain(optax.add_decayed_weights(decay), optax.sgd(schedule, spec.momentum)),
        "adam": lambda: optax.adam(schedule, spec.beta1, spec.beta2),
        "adamw": lambda: optax.adamw(schedule, spec.beta1, spec.beta2, weight_decay=decay),
        "nadam": lambda: optax.nadam(schedule, spec.beta1, spec.beta2),
        "rmsprop": lambda: optax.rmsprop(schedule, spec.decay),
        "adagrad": lambda: optax.adagrad(schedule, eps=1e-7),
        "lion": lambda: optax.lion(schedule, spec.beta1, spec.beta2, weight_decay=decay),
    }[spec.name]()


def drawn_experiment(number: int, precision: str) -> Experiment:
    """Draw one of the configurations compared; the first seven have each optimiser once."""
    rng = np.random.default_rng([20261122, number])
    name = list(OPTIMIZERS)[number] if number < len(OPTIMIZERS) else str(rng.choice(list(OPTIMIZERS)))
    schedule = str(rng.choice(list(SCHEDULES)))
    own: dict[str, float] = {
        "momentum": rng.uniform(0.5, 0.95),
        "weight_decay": 10 ** rng.uniform(-4, -1),
        "beta1": rng.uniform(0.5, 0.95),
        "beta2": rng.uniform(0.9, 0.999),
        "decay": rng.uniform(0.8, 0.99),
        "final_fraction": rng.uniform(0.05, 0.5),
    }
    takes = Optimizer(name, schedule=schedule).applicable()
    batch = int(rng.choice([5, 8])) if number % 2 else None
    per_epoch = -(-POINTS // (batch or POINTS))
    rates = {"sgd": 0.02, "adagrad": 0.05, "lion": 1e-3}
    return tiny(
        task=SumOfSines(frequencies=(1, 2), points=POINTS, noise=float(rng.choice([0.0, 0.3]))),
        model=MLP(
            width=int(rng.integers(3, 12)),
            depth=int(rng.integers(1, 4)),
            activation=str(rng.choice(ACTIVATIONS)),
            bias=bool(rng.choice([True, True, False])),
            initializer="glorot_normal",
            bias_initializer="normal",
        ),
        optimizer=Optimizer(name, schedule=schedule, **{k: float(v) for k, v in own.items() if k in takes}),
        axes=zipped(seed=(3, 8), data_seed=(5, 0)) * grid(learning_rate=(rates.get(name, 5e-3) / 3, rates.get(name, 5e-3))),
        loss=str(rng.choice([loss for loss in LOSSES if "summed" not in loss or name not in ("sgd",)])),
        batch_size=batch,
        epochs=STEPS // per_epoch,
        precision=precision,
        record=Record(metrics=("loss",), at=every(1), snapshots=0),
    )


def renamed(parameters: Any) -> Any:
    """Name the layers of a lane's parameters as Flax does."""
    return {"params": {name.replace("layer", "Dense"): own for name, own in parameters.items()}}


def reference_life(experiment: Experiment, life: Life, data: Any, rate: float, steps: int) -> tuple[np.ndarray, Any]:
    """Train with Flax and optax from a lane's initial parameters; returns the loss curve and the last parameters."""
    model, batch = experiment.model, experiment.batch_size or POINTS
    assert isinstance(model, MLP)
    dtype = data.inputs.dtype
    module = Plain(model.layers(), model.activation, model.bias, dtype)
    loss_of = REFERENCE_LOSSES[experiment.loss]
    per_epoch = -(-POINTS // batch)
    rule = reference_optimizer(experiment.optimizer, rate, experiment.epochs * per_epoch)
    inputs, targets = jnp.asarray(data.inputs.T), jnp.asarray(data.target)

    def objective(parameters: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return loss_of(module.apply(parameters, x), y)

    @jax.jit
    def step(parameters: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        updates, state = rule.update(jax.grad(objective)(parameters, x, y), state, parameters)
        return optax.apply_updates(parameters, updates), state

    whole = jax.jit(objective)
    parameters = jax.tree.map(jnp.asarray, renamed(life.states[0].parameters))
    state = rule.init(parameters)
    losses = [whole(parameters, inputs, targets)]
    for done in range(steps):
        chosen: Any = slice(None)
        if experiment.batch_size is not None:  # the order in which the lane went through this epoch
            order = life.states[done + 1].order
            chosen = order[done % per_epoch * batch : (done % per_epoch + 1) * batch]
        parameters, state = step(parameters, state, inputs[chosen], targets[chosen])
        losses.append(whole(parameters, inputs, targets))
    return np.array(losses), parameters


def compare(number: int, precision: str, records: int | None, tolerance: float) -> None:
    experiment = drawn_experiment(number, precision)
    plan = planned(experiment)
    mine = lives(plan, records=records)
    lane = len(mine) - 1 - number % 2  # not the first lane: that is the one which empty seats repeat
    life, rate = mine[lane], dict(rows_of(experiment)[lane])["learning_rate"]
    with jax.enable_x64(precision == "float64"):
        steps = len(life.states) - 1
        losses, parameters = reference_life(experiment, life, data_of(plan, lane), rate, steps)
        assert np.ptp(losses) > 1e-3 * losses[0]  # something was learned
        np.testing.assert_allclose(life.curves["loss"], losses, rtol=tolerance)
        theirs = ravel_pytree(parameters)[0]
        ours = ravel_pytree(renamed(life.states[-1].parameters))[0]
        assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[pytest.mark.core] if n < 4 else []) for n in range(12)]
)
def test_a_lane_in_float64_is_the_plain_flax_and_optax_loop_to_1e_9(number):
    compare(number, "float64", None, 1e-9)


@pytest.mark.parametrize("number", range(7))
def test_a_lane_in_float32_takes_the_first_five_steps_of_the_plain_loop_to_1e_5(number):
    compare(number, "float32", 6, 1e-5)
