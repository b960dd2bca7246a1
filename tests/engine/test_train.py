"""A lane is an ordinary training: against Flax and optax loops, closed forms, NumPy, and the lane in other sweeps."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import (
    LOSS_ONLY,
    PRECISIONS,
    Life,
    Plain,
    assert_bitwise,
    by_row,
    data_of,
    lives,
    make_plan,
    numbers_of_one,
    rates_of,
    rows_of,
    run_lanes,
    share_blocks,
    tiny,
    to_flax,
    walk_waves,
)
from jax.flatten_util import ravel_pytree
from scipy import stats

from sweep.base.labels import DIVERGED
from sweep.engine import cost, program, walk
from sweep.engine.keys import Keys
from sweep.engine.regression import training as regression
from sweep.engine.regression.networks import Varying, network
from sweep.engine.regression.training import Regression
from sweep.engine.seats import kinds_of
from sweep.page.axes import grid, zipped
from sweep.page.experiment import Experiment
from sweep.page.resolve import shape_of
from sweep.page.specs.activation import ACTIVATIONS
from sweep.specs import MLP, Linear, Optimizer, Record, SumOfSines, every, linear_spaced

# ---------------------------------------------------------------------------------------------------------
# Against a plain Flax + optax loop: nothing in the reference is sweep's but initial parameters and data.

STEPS = 100
POINTS = 16
REFERENCE_LOSSES = {
    "mean_squared": lambda h, y: jnp.mean((h - y) ** 2),
    "summed_squared": lambda h, y: jnp.sum((h - y) ** 2),
    "half_summed_squared": lambda h, y: jnp.sum((h - y) ** 2) / 2,
    "mean_absolute": lambda h, y: jnp.mean(jnp.abs(h - y)),
}


def reference_optimizer(spec: Optimizer, rate: float, steps: int) -> optax.GradientTransformation:
    """Build the optimiser from optax's factories and plain numbers, with its rates from a table."""
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


# The other optimisers have the same test in test_rules.py.
DRAWN_OPTIMIZERS = ["sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "lion"]
DRAWN_SCHEDULES = ["constant", "linear", "cosine", "exponential", "warmup_cosine"]


def drawn_experiment(number: int, precision: str) -> Experiment:
    """Draw one of the configurations compared; the first seven have each of these optimisers once."""
    rng = np.random.default_rng([20261122, number])
    name = DRAWN_OPTIMIZERS[number] if number < len(DRAWN_OPTIMIZERS) else str(rng.choice(DRAWN_OPTIMIZERS))
    schedule = str(rng.choice(DRAWN_SCHEDULES))
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
            activation=str(rng.choice(list(ACTIVATIONS))),
            bias=bool(rng.choice([True, True, False])),
            initializer="glorot_normal",
            bias_initializer="normal",
        ),
        optimizer=Optimizer(name, schedule=schedule, **{k: float(v) for k, v in own.items() if k in takes}),
        axes=zipped(seed=(3, 8), data_seed=(5, 0))
        * grid(learning_rate=(rates.get(name, 5e-3) / 3, rates.get(name, 5e-3))),
        loss=str(rng.choice([loss for loss in REFERENCE_LOSSES if "summed" not in loss or name not in ("sgd",)])),
        batch_size=batch,
        epochs=STEPS // per_epoch,
        precision=precision,
        record=Record(metrics=("loss",), at=every(1), snapshots=0),
    )


def reference_life(experiment: Experiment, life: Life, data: Any, rate: float, steps: int) -> tuple[np.ndarray, Any]:
    """Train with Flax and optax from a lane's initial parameters; return the loss curve and the last parameters."""
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
    parameters = jax.tree.map(jnp.asarray, to_flax(life.states[0].parameters))
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
    plan = make_plan(experiment)
    mine = lives(plan, records=records)
    lane = len(mine) - 1 - number % 2  # not the first lane: that is the one which empty seats repeat
    life, rate = mine[lane], dict(rows_of(experiment)[lane])["learning_rate"]
    with jax.enable_x64(precision == "float64"):
        steps = len(life.states) - 1
        losses, parameters = reference_life(experiment, life, data_of(plan, lane), rate, steps)
        assert np.ptp(losses) > 1e-3 * losses[0]  # something was learned
        np.testing.assert_allclose(life.curves["loss"], losses, rtol=tolerance)
        theirs = ravel_pytree(parameters)[0]
        ours = ravel_pytree(to_flax(life.states[-1].parameters))[0]
        assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=pytest.mark.core if n < 2 else pytest.mark.slow) for n in range(12)]
)
def test_a_lane_in_float64_is_the_plain_flax_and_optax_loop_to_1e_9(number):
    compare(number, "float64", None, 1e-9)


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n < 1 else pytest.mark.slow) for n in range(7)])
def test_a_lane_in_float32_takes_the_first_five_steps_of_the_plain_loop_to_1e_5(number):
    compare(number, "float32", 6, 1e-5)


def test_every_epoch_has_all_points_in_a_different_order():
    experiment = tiny(
        model=MLP(depth=0),
        axes=zipped(seed=(0, 0, 1), data_seed=(0, 1, 0)),
        batch_size=5,
        epochs=4,
        record=replace(LOSS_ONLY, at=every(1)),
    )
    orders = [
        [state.order for state in life.states[1::4]] for life in run_lanes(experiment)
    ]  # 16 points: 5 + 5 + 5 + 1
    for epochs in orders:
        assert len(epochs) == 4
        for order in epochs:
            assert sorted(order) == list(range(16))
        assert len({tuple(order) for order in epochs}) == 4
    assert np.array_equal(orders[0], orders[1])  # the order belongs to `seed`, not to the data
    assert not np.array_equal(orders[0], orders[2])


# ---------------------------------------------------------------------------------------------------------
# A padded width is the narrow network.

NARROW, WIDE = 5, 8
OPTIMIZER_OF = {name: DRAWN_OPTIMIZERS[at % len(DRAWN_OPTIMIZERS)] for at, name in enumerate(ACTIVATIONS)}


@cache
def begun(capacity: int) -> tuple[Any, Any, Any]:
    """Begin a lane of width 5 in arrays of some capacity: its numbers, parameters and data."""
    experiment = tiny(
        model=MLP(width=capacity, depth=2, bias_initializer="normal"), optimizer=Optimizer("adamw"), precision="float64"
    )
    training = Regression(shape_of(experiment), Varying(width=capacity > NARROW))
    numbers = {name: column[0] for name, column in numbers_of_one(experiment).items()}
    numbers = {k: np.asarray(v, program.number_dtype(k, training)) for k, v in (numbers | {"width": NARROW}).items()}
    state, data = jax.jit(lambda numbers: training.begin(Keys.of(numbers), numbers, ()))(numbers)
    return numbers, state.parameters, data


@cache
def trained(activation: str, capacity: int) -> tuple[Any, np.ndarray]:
    """Train a lane of width 5 for 30 steps: parameters and moments after each, and the last prediction."""
    experiment = tiny(
        model=MLP(width=capacity, depth=2, activation=activation, bias_initializer="normal"),
        optimizer=Optimizer(OPTIMIZER_OF[activation], learning_rate=0.003), precision="float64",
    )  # fmt: skip
    training = Regression(shape_of(experiment), Varying(width=capacity > NARROW))
    with jax.enable_x64(True):
        _, parameters, data = begun(capacity)
        numbers = {name: column[0] for name, column in numbers_of_one(experiment).items()}
        numbers = {
            k: jnp.asarray(v, program.number_dtype(k, training)) for k, v in (numbers | {"width": NARROW}).items()
        }
        begin = regression.State(parameters, training.rule(numbers).init(parameters), None)

        @jax.jit
        def run(state: regression.State) -> Any:
            def step(state: regression.State, done: jax.Array) -> Any:
                state, _ = training.step(state, data, (), numbers, done)
                return state, vectors_of(state)

            last, vectors = jax.lax.scan(step, state, jnp.arange(30))
            return vectors, network(training.shape.model, training.varying).apply(
                last.parameters, (), data.inputs, numbers
            )

        return jax.tree.map(np.asarray, run(begin))


def vectors_of(state: regression.State) -> list[Any]:
    """Give the parameters, and the moments that the optimiser keeps of them, as trees like the parameters."""
    flat, shaped = ravel_pytree(state.parameters)
    moments = [leaf for leaf in jax.tree.leaves(state.optimizer_state) if jnp.size(leaf) == flat.size]
    return [state.parameters, *(shaped(moment) for moment in moments)]


def parts(tree: Any) -> tuple[np.ndarray, np.ndarray]:
    """Separate living and dead parameters in arrays of the capacity; leading axes are kept."""
    own = np.arange(WIDE) < NARROW
    living = {
        "layer_0": {"kernel": own[None, :], "bias": own},
        "layer_1": {"kernel": own[:, None] & own, "bias": own},
        "layer_2": {"kernel": own[:, None], "bias": np.array([True])},
    }
    masks, leaves = jax.tree.leaves(living), jax.tree.leaves(tree)
    assert jax.tree.structure(living) == jax.tree.structure(tree)
    both = [(leaf[..., mask], leaf[..., ~mask]) for leaf, mask in zip(leaves, masks, strict=True)]
    alive, dead = (np.concatenate(part, axis=-1) for part in zip(*both, strict=True))
    assert alive.shape[-1] == 5 + 5 + 25 + 5 + 5 + 1
    return alive, dead


def joined(tree: Any) -> np.ndarray:
    """Lay a narrow network's arrays side by side, as `parts` does."""
    leaves = [(leaf, 1 if path[-1].key == "bias" else 2) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    return np.concatenate([leaf.reshape(*leaf.shape[: leaf.ndim - own], -1) for leaf, own in leaves], axis=-1)


@pytest.mark.core
@pytest.mark.parametrize(
    "activation",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("tanh", "sine"))) for name in ACTIVATIONS],
)
def test_a_padded_width_is_the_narrow_network(activation):
    (wide, wide_prediction), (narrow, prediction) = trained(activation, WIDE), trained(activation, NARROW)
    assert len(wide) == len(narrow) > 0
    for mine, other in zip(wide, narrow, strict=True):
        ours, theirs = parts(mine)[0], joined(other)
        assert np.linalg.norm(ours - theirs) <= 1e-10 * np.linalg.norm(theirs)
    np.testing.assert_allclose(wide_prediction, prediction, rtol=1e-10)


# The core has those whose units are trained for the test above anyway, and one that is not 0 at 0.
@pytest.mark.parametrize(
    "activation",
    [pytest.param(name, marks=[pytest.mark.core] * (name in ("tanh", "sine", "cosine"))) for name in ACTIVATIONS],
)
def test_dead_units_and_their_moments_never_change(activation):
    (parameters, *moments), _ = trained(activation, WIDE)
    assert (parts(parameters)[1] == 0).all()
    resting = 0.1 if OPTIMIZER_OF[activation] == "adagrad" else 0.0  # optax begins adagrad's sum of squares at 0.1
    assert moments
    for moment in moments:
        alive, dead = parts(moment)
        assert (dead == resting).all()
        assert (alive != resting).any()


def test_the_narrow_network_begins_as_the_corner_of_the_wide_one_bit_by_bit():
    with jax.enable_x64(True):
        wide, narrow = (jax.tree.map(np.asarray, begun(capacity)[1]) for capacity in (WIDE, NARROW))
    assert parts(wide)[0].tobytes() == joined(narrow).tobytes()
    assert (parts(wide)[1] == 0).all()


def test_a_padded_block_of_a_plan_measures_what_the_narrow_blocks_do(monkeypatch):
    experiment = tiny(
        task=SumOfSines(frequencies=(1, 3), points=16, noise=0.1), model=MLP(depth=1, activation="sigmoid"),
        axes=grid(width=(NARROW, WIDE), seed=(0, 1)), precision="float64", record=Record(at=linear_spaced(2)),
    )  # fmt: skip
    apart = make_plan(replace(experiment, axes=grid(width=(NARROW,), seed=(0, 1))))
    share_blocks(monkeypatch)
    together = make_plan(experiment)
    assert [block.training.padded for block in together.programs[0].blocks] == [True]
    assert [block.training.padded for block in apart.programs[0].blocks] == [False]
    for one, other in zip(lives(together)[:2], lives(apart), strict=True):
        assert set(one.curves) == set(other.curves) >= {"loss", "spectral_error", "gradient_norm", "parameter_norm"}
        for name, values in one.curves.items():
            np.testing.assert_allclose(values, other.curves[name], rtol=1e-10, atol=1e-13, err_msg=name)


def test_lanes_of_all_widths_depths_and_activations_in_one_block_are_what_they_are_alone(monkeypatch):
    kinds = zipped(width=(3, 5), depth=(2, 1), activation=("sigmoid", "relu"))
    sine = grid(width=(4,), depth=(1,), activation=("sine",), omega0=(3.0,))
    experiment = tiny(
        task=SumOfSines(frequencies=(1, 3), points=16, noise=0.1), model=MLP(bias_initializer="normal"),
        axes=grid(seed=(0, 1)) * (kinds + sine),
        precision="float64", batch_size=6, record=Record(at=linear_spaced(2)),
    )  # fmt: skip
    apart = make_plan(experiment)
    assert len(apart.programs[0].blocks) == 3
    share_blocks(monkeypatch)
    together = make_plan(experiment)
    ((block,), (numbers,)) = together.programs[0].blocks, together.programs[0].numbers
    assert (block.training.padded, len(set(kinds_of(block, numbers)))) == (True, 3)
    for one, other in zip(lives(together), lives(apart), strict=True):
        assert set(one.curves) == set(other.curves) >= {"loss", "spectral_error", "gradient_norm", "parameter_norm"}
        layers = other.curves["gradient_norm"].shape[-1]
        assert np.isnan(one.curves["gradient_norm"][:, layers:]).all()
        one.curves["gradient_norm"] = one.curves["gradient_norm"][:, :layers]
        for name, values in one.curves.items():
            np.testing.assert_allclose(values, other.curves[name], rtol=1e-10, atol=1e-13, err_msg=name)


# ---------------------------------------------------------------------------------------------------------
# The bits of a lane depend on nothing but the lane: 40 lanes to a block are three tiles of 16.

SEEDS, RATES = tuple(range(5)), tuple(np.geomspace(1e-3, 0.3, 8).round(5))


def lanes_of_interest(precision: str, **changes: Any) -> Experiment:
    """Make an experiment of two blocks that records everything."""
    settings: dict[str, Any] = {
        "task": SumOfSines(frequencies=(1, 3), points=16, noise=0.1),
        "model": MLP(width=5, depth=1),
        "axes": grid(seed=SEEDS, learning_rate=RATES, batch_size=(16, 5)),
        "record": Record(at=linear_spaced(3), snapshots=2),
        "epochs": 9,
        "precision": precision,
    }
    return tiny(**(settings | changes))


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    """Tiles of at most 16 lanes, so that few lanes make several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cost.TILE_LARGEST, jax.default_backend(), 16)
        yield


@pytest.fixture(scope="module", params=["float32", pytest.param("float64", marks=pytest.mark.slow)])
def precision(request):
    return request.param


@pytest.fixture(scope="module")
def at_home(small_tiles, precision):
    experiment = lanes_of_interest(precision)
    plan = make_plan(experiment)
    assert [block.tile for block in plan.programs[0].blocks] == [16, 16]
    assert [block.tiles for block in plan.programs[0].blocks] == [3, 3]
    return by_row(experiment, lives(plan))


def assert_same_lanes(at_home: dict, experiment: Experiment, found: list[Life]) -> None:
    elsewhere = by_row(experiment, found)
    assert set(at_home) <= set(elsewhere)
    for row, life in at_home.items():
        assert_bitwise(life, elsewhere[row])


@pytest.mark.core
@pytest.mark.optimised
def test_the_bits_of_a_lane_in_a_shared_block_depend_on_no_other_lane(small_tiles, monkeypatch):
    """On one device in one wave, against three devices, small waves and other lanes beside it."""
    share_blocks(monkeypatch)
    kinds = zipped(activation=("tanh", "sine", "relu"), depth=(1, 3, 2), width=(3, 6, 6))
    pages = [
        lanes_of_interest("float32", axes=grid(seed=seeds, learning_rate=RATES[:2]) * kinds, batch_size=5)
        for seeds in (SEEDS, (7, *SEEDS, 9))
    ]
    plans = make_plan(pages[0], 1), make_plan(pages[1], 3, wave_lanes=16)
    assert [(len(plan.waves), sum(1 for _ in plan.blocks())) for plan in plans] == [(1, 1), (3, 1)]
    assert_same_lanes(by_row(pages[0], lives(plans[0])), pages[1], lives(plans[1]))


def test_reordered_axes_change_no_bit(at_home, precision):
    experiment = lanes_of_interest(
        precision, axes=grid(batch_size=(16, 5), learning_rate=RATES[::-1], seed=SEEDS[::-1])
    )
    assert_same_lanes(at_home, experiment, run_lanes(experiment))


def test_a_grown_grid_with_another_block_in_waves_changes_no_bit(at_home, precision):
    grown = grid(seed=(7, *SEEDS, 9), learning_rate=(1e-4, *RATES), batch_size=(3, 16, 5))
    experiment = lanes_of_interest(precision, axes=grown)
    plan = make_plan(experiment, wave_lanes=96)
    assert [len(wave.lanes) for wave in plan.waves] == [96, 93]
    assert [block.tiles for block in plan.programs[0].blocks] == [2, 2, 2]
    assert_same_lanes(at_home, experiment, lives(plan))


@pytest.mark.core
@pytest.mark.optimised
@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_more_devices_change_no_bit(at_home, precision, devices):
    experiment = lanes_of_interest(precision)
    assert_same_lanes(at_home, experiment, run_lanes(experiment, devices))


@pytest.mark.slow
def test_a_small_memory_budget_changes_no_bit(at_home, precision):
    experiment = lanes_of_interest(precision)
    plan = make_plan(experiment, memory=int(0.7 * make_plan(experiment).wave_bytes))
    assert len(plan.waves) > 1
    assert_same_lanes(at_home, experiment, lives(plan))


def test_other_segments_change_no_bit(at_home, precision, monkeypatch):
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)  # a step each
    experiment = lanes_of_interest(precision)
    plan = make_plan(experiment)
    assert sum(1 for _ in walk_waves(plan)) == 36 + 1  # 9 epochs of 4 batches, and record 0
    assert_same_lanes(at_home, experiment, lives(plan))


def test_resuming_from_a_saved_position_changes_no_bit(at_home, precision):
    experiment = lanes_of_interest(precision)
    plan = make_plan(experiment)
    for piece in walk_waves(plan):
        if piece.record == 1:
            saved = piece.position()
            break
    rest = by_row(experiment, lives(plan, resume=saved))
    for row, life in at_home.items():
        for name, values in life.curves.items():
            assert values[2:].tobytes() == rest[row].curves[name].tobytes()


def test_the_tame_lanes_differ_from_each_other(at_home):
    losses = {life.curves["loss"].tobytes() for life in at_home.values()}
    assert len(losses) == len(at_home)  # else "bitwise equal" would say little


# ---------------------------------------------------------------------------------------------------------
# Failure is data.

TAME = (0.05, 0.1, 0.2, 0.3)


def quadratic(rates: tuple[float, ...], **changes: Any) -> Experiment:
    """A straight line learned by gradient descent: the loss is a quadratic of two parameters."""
    return tiny(
        task=Linear(slopes=(2.0,), intercept=1.0, points=16),
        model=MLP(depth=0),
        optimizer=Optimizer("sgd"),
        axes=grid(seed=(0, 1), learning_rate=rates),
        epochs=12,
        record=Record(metrics=("loss", "parameter_norm", "gradient_norm"), at=every(1), snapshots=3),
        **changes,
    )


def simulated(kernel: np.ndarray, bias: np.ndarray, data: Any, rate: float, steps: int, dtype: Any) -> dict[str, Any]:
    """Descend in NumPy: losses step by step, and the parameters and date of the last finite step."""
    x, y = data.inputs[0].astype(dtype), data.target.astype(dtype)
    w, b, rate = dtype(kernel[0, 0]), dtype(bias[0]), dtype(rate)
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            residual = w * x + b - y
            losses.append(np.mean(residual**2, dtype=dtype))
            if not np.isfinite(losses[-1]):
                return {"losses": losses, "parameters": (w, b), "first_bad": step}
            new_w = w - rate * dtype(2) * np.mean(residual * x, dtype=dtype)
            new_b = b - rate * dtype(2) * np.mean(residual, dtype=dtype)
            if not (np.isfinite(new_w) and np.isfinite(new_b)):
                return {"losses": losses, "parameters": (w, b), "first_bad": step + 1}
            w, b = new_w, new_b
    return {"losses": losses, "parameters": (w, b), "first_bad": program.NEVER}


@pytest.mark.core
@pytest.mark.parametrize(
    ("rate", "what", "precision"),
    [
        (1e3, "loss", "float32"),
        (2e5, "loss", "float32"),
        (3e38, "parameters", "float32"),
        (1e30, "loss", "float64"),
        (1e308, "parameters", "float64"),
    ],
)
def test_a_lane_that_overflows_freezes_is_dated_and_leaves_the_others_alone(rate, what, precision):
    wild = quadratic((*TAME[:2], rate, *TAME[2:]), precision=precision)
    calm = quadratic((*TAME[:2], 0.25, *TAME[2:]), precision=precision)
    plan = make_plan(wild)
    found, others = by_row(wild, lives(plan)), by_row(calm, run_lanes(calm))
    rarely = run_lanes(replace(wild, record=replace(wild.record, at=linear_spaced(1))))
    for row, life in found.items():
        if ("learning_rate", rate) not in row:
            assert life.first_bad_step == program.NEVER
            assert_bitwise(life, others[row])
            continue
        lane = rows_of(wild).index(row)
        start = life.states[0].parameters["layer_0"]
        expected = simulated(start["kernel"], start["bias"], data_of(plan, lane), rate, 12, np.dtype(precision).type)
        bad = expected["first_bad"]
        assert 0 < bad <= 12
        if (
            what == "loss" and precision == "float32"
        ):  # far enough from the edge that the order of additions does not matter
            wide = simulated(start["kernel"], start["bias"], data_of(plan, lane), rate, 12, np.float64)["losses"]
            assert wide[bad - 1] < 1e37
            assert wide[bad] > 1e40
        assert life.first_bad_step == bad
        for name, values in life.curves.items():
            assert (np.isfinite(values[:bad])).all(), name
            assert np.isnan(values[bad:]).all(), name
        last = life.states[-1].parameters["layer_0"]
        np.testing.assert_allclose((last["kernel"][0, 0], last["bias"][0]), expected["parameters"], rtol=1e-4)
        assert np.isfinite(last["kernel"]).all()
        for state in life.states[bad:]:
            assert_bitwise(replace_state(life, state), replace_state(life, life.states[-1]))
        # Seen at the next record, long after: the date is that of the step.
        assert by_row(wild, rarely)[row].first_bad_step == bad
        assert np.isnan(by_row(wild, rarely)[row].curves["loss"][1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_where_segments_are_cut_does_not_date_a_failure(monkeypatch, precision):
    # With batches of one point, the loss over all points overflows a step before that of most batches.
    experiment = tiny(
        task=Linear(points=16), model=MLP(depth=0), optimizer=Optimizer("sgd"), batch_size=1, epochs=8,
        axes=grid(seed=range(8), learning_rate=(3.0, 26.1, 669.4, 3390.6, 1e8)), precision=precision,
        record=replace(LOSS_ONLY, at=linear_spaced(2)),
    )  # fmt: skip
    plan = make_plan(experiment)
    whole = lives(plan)
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)  # a step each
    assert sum(life.first_bad_step != program.NEVER for life in whole) > (16 if precision == "float32" else 8)
    for one, other in zip(whole, lives(plan), strict=True):
        assert_bitwise(one, other)


def replace_state(life: Life, state: regression.State) -> Life:
    return replace(life, states=[state])


# ---------------------------------------------------------------------------------------------------------
# Closed forms.


@pytest.mark.core
def test_gradient_descent_on_a_line_is_its_closed_form():
    experiment = replace(quadratic(TAME), precision="float64", epochs=200)
    plan = make_plan(experiment)
    for lane, life in enumerate(lives(plan)):
        rate = dict(rows_of(experiment)[lane])["learning_rate"]
        data, start = data_of(plan, lane), life.states[0].parameters["layer_0"]
        design = np.stack([data.inputs[0], np.ones(16)], axis=1)
        best = np.linalg.lstsq(design, data.target, rcond=None)[0]
        once = np.eye(2) - 2 * rate / 16 * design.T @ design  # distance from the best, one step later
        distance = np.array([start["kernel"][0, 0], start["bias"][0]]) - best
        for step in range(201):
            exact = best + np.linalg.matrix_power(once, step) @ distance
            own = life.states[step].parameters["layer_0"]
            np.testing.assert_allclose((own["kernel"][0, 0], own["bias"][0]), exact, rtol=1e-10, atol=1e-12)
            loss = np.mean((design @ exact - data.target) ** 2)
            # Residuals are differences of numbers of order 1, so they are exact to some 1e-16.
            np.testing.assert_allclose(life.curves["loss"][step] ** 0.5, loss**0.5, rtol=1e-10, atol=1e-15)


def test_scaled_inputs_reach_the_closed_form_of_several_features():
    experiment = tiny(
        task=Linear(slopes=(2.0, -1.0, 0.5), points=16, placement="random", noise=0.2, low=-3.0, high=2.0),
        model=MLP(depth=0), optimizer=Optimizer("sgd", learning_rate=0.2), epochs=100, precision="float64",
        loss="half_summed_squared", axes=grid(learning_rate=(0.01, 0.03), data_seed=(0, 4)),
        record=replace(LOSS_ONLY, at=every(10)),
    )  # fmt: skip
    plan = make_plan(experiment)
    for lane, life in enumerate(lives(plan)):
        rate = dict(rows_of(experiment)[lane])["learning_rate"]
        data, start = data_of(plan, lane), life.states[0].parameters["layer_0"]
        assert np.abs(data.inputs).max() <= 1  # scaled
        design = np.concatenate([data.inputs, np.ones((1, 16))]).T
        best = np.linalg.lstsq(design, data.target, rcond=None)[0]
        once = np.eye(4) - rate * design.T @ design
        exact = best + np.linalg.matrix_power(once, 100) @ (np.append(start["kernel"][:, 0], start["bias"]) - best)
        own = life.states[-1].parameters["layer_0"]
        np.testing.assert_allclose(np.append(own["kernel"][:, 0], own["bias"]), exact, rtol=1e-10)


def test_lanes_whose_points_are_many_batches_are_measured_over_all_points():
    # 80 batches of 2: all points of a tile's lanes at once would be far more than what a step looks at.
    experiment = tiny(
        task=Linear(points=160, noise=0.3), model=MLP(depth=0), optimizer=Optimizer("sgd", learning_rate=0.05),
        axes=grid(seed=range(8), data_seed=(0, 1)), batch_size=2, epochs=1, precision="float64",
        record=replace(LOSS_ONLY, at=every(40)),
    )  # fmt: skip
    plan = make_plan(experiment)
    for lane, life in enumerate(lives(plan)):
        data = data_of(plan, lane)
        for loss, state in zip(life.curves["loss"], life.states, strict=True):
            own = state.parameters["layer_0"]
            exact = np.mean((own["kernel"][0] * data.inputs[0] + own["bias"] - data.target) ** 2)
            np.testing.assert_allclose(loss, exact, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------
# Orders of points.


def test_counted_ranks_are_orders_that_are_equally_likely(monkeypatch):
    keys = jax.vmap(jax.random.key)(jnp.arange(6000, dtype=jnp.uint32))

    def drawn(keys: jax.Array, points: int) -> np.ndarray:
        return np.asarray(jax.jit(jax.vmap(lambda key: regression.permutation(key, points)))(keys))

    orders = drawn(keys, 3)
    assert (np.sort(orders, axis=1) == np.arange(3)).all()
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3
    long = drawn(keys[:500], 100)
    assert (np.sort(long, axis=1) == np.arange(100)).all()
    # Where a point comes says nothing of where it stood.
    assert np.abs(np.mean(long, axis=0) - 49.5).max() < 5 * 28.9 / 500**0.5
    many = drawn(keys[:500], 300)  # too many to be counted
    assert (np.sort(many, axis=1) == np.arange(300)).all()
    assert np.abs(np.mean(many, axis=0) - 149.5).max() < 5 * 86.6 / 500**0.5
    monkeypatch.setattr(jax.random, "bits", lambda key, shape, dtype: jnp.array([7, 5, 7, 5, 5], dtype))
    assert regression.permutation(keys[0], 5).tolist() == [3, 0, 4, 1, 2]  # equal numbers keep their order


def test_a_lane_that_is_lost_late_in_a_long_segment_costs_a_few_times_the_segment():
    wild = quadratic((*TAME[:2], 1e3, *TAME[2:]))
    experiment = replace(wild, epochs=256, record=replace(wild.record, at=linear_spaced(1)))
    plan = make_plan(experiment)
    pieces = list(walk_waves(plan))
    program = plan.programs[0]
    (block,) = program.blocks
    whole = 256 * block.tile * -(-len(program.members[0]) // block.tile)
    assert any((status == DIVERGED).any() for status in pieces[-1].status)
    assert whole < sum(piece.executed for piece in pieces) <= 5 * whole
