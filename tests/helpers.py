"""Small experiments, and the trainings of their lanes by lane number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sweep.base.labels import DIVERGED
from sweep.engine import blocks
from sweep.engine import program as programs
from sweep.engine.plan import Devices, Fixed, Plan, pack
from sweep.engine.prepare import settings_of
from sweep.engine.walk import Segment, walk_wave
from sweep.engine.wave import Position
from sweep.page import resolve as resolving
from sweep.page.axes import Axes, lay_out
from sweep.page.experiment import Experiment
from sweep.page.resolve import resolve
from sweep.specs import MLP, Optimizer, Record, SumOfSines, log_spaced

# `make test` runs most of these tests in float64 only, `make test-all` also in float32.
PRECISIONS = (pytest.param("float32", marks=pytest.mark.slow), "float64")
# The end of a script that holds a lock, and says so, or that it lost it, for each line that it gets.
UNTIL_CLOSED = """
    print("held", flush=True)
    for _ in sys.stdin:
        try:
            lock.check()
            print("held", flush=True)
        except SweepError as error:
            print(error, flush=True)
"""
LOSS_ONLY = Record(metrics=("loss",), at=log_spaced(4), snapshots=0)


def tiny(**changes: Any) -> Experiment:
    """Make an experiment that compiles and runs in about a second."""
    settings: dict[str, Any] = {
        "question": "Does it work?",
        "task": SumOfSines(frequencies=(1, 3), points=16),
        "model": MLP(width=6, depth=2),
        "optimizer": Optimizer("adam", learning_rate=1e-2),
        "axes": Axes(),
        "epochs": 12,
        "record": LOSS_ONLY,
    }
    return Experiment(**(settings | changes))


@dataclass(frozen=True)
class Life:
    """One lane from its beginning to its end.

    Args:
        curves: each quantity, records first.
        states: the state of its training at each record.
        target: noiseless target over x, None for a task without x.
        first_bad_step: its value at the end.
        leaves: the arrays of its last state, and those that the engine keeps with it.
    """

    curves: dict[str, np.ndarray]
    states: list[Any]
    target: np.ndarray | None
    first_bad_step: int
    leaves: Sequence[np.ndarray] = ()


def make_plan(
    experiment: Experiment,
    devices: int = 1,
    *,
    memory: int | None = None,
    wave_lanes: int | None = None,
    parts: int = 1,
) -> Plan:
    """Plan an experiment on a number of devices."""
    with jax.enable_x64(experiment.precision == "float64"):
        return pack(
            resolve(experiment),
            memory=memory, fixed=Fixed(wave_lanes), devices=Devices.of(jax.devices()[:devices]), parts=parts,
        )  # fmt: skip


def walk_waves(plan: Plan, resume: Position | None = None) -> Iterator[Segment]:
    """Walk all waves of a plan, or the rest of them from a position."""
    for number in range(0 if resume is None else resume.wave, len(plan.waves)):
        yield from walk_wave(plan, number, resume if resume is not None and resume.wave == number else None)


def run_lanes(experiment: Experiment, devices: int = 1, **options: Any) -> list[Life]:
    """Train an experiment and return each lane's `Life`, by lane number."""
    return lives(make_plan(experiment, devices, **options))


def share_blocks(patch: pytest.MonkeyPatch) -> None:
    """Let all structures share a block that can."""
    for name, value in (("MAX_BLOCKS", 1), ("PADDING", (16.0,)), ("SHARED", (("activation", "depth"),))):
        patch.setattr(blocks, name, value)


def lives(plan: Plan, *, records: int | None = None, resume: Position | None = None) -> list[Life]:
    """Walk a plan, or only its first records, and return each lane's `Life`, by lane number."""
    found: dict[int, Life] = {}
    for piece in walk_waves(plan, resume=resume):
        if piece.record is not None:
            _add_segment(plan, piece, found)
            if records is not None and piece.record + 1 == records:
                break
    return [found[lane] for lane in range(len(found))]


def _add_segment(plan: Plan, piece: Segment, found: dict[int, Life]) -> None:
    wave = plan.waves[piece.wave]
    program = plan.programs[wave.program]
    position = piece.position()
    leaves = iter(position.leaves)
    for at, block in enumerate(program.blocks):
        structure = lane_structure(block, tuple(program.numbers[at]))
        arrays = [next(leaves) for _ in range(structure.num_leaves)]
        seats = {int(lane): seat for seat, lane in enumerate(position.seated[at])}
        for row, lane in enumerate(program.members[at][wave.chosen[at]]):
            old = found.get(int(lane), Life({}, [], None, programs.NEVER))
            has_target = piece.constants and "target" in piece.constants[at]
            target = piece.constants[at]["target"][row] if has_target else old.target
            values = piece.values[at]
            curves = {
                name: np.concatenate([*([old.curves[name]] if old.states else []), value[row][None]])
                for name, value in values.items()
            }
            # A lane that has ended and left its seat keeps its last values.
            leaf = [array[seats[row]] for array in arrays] if row in seats else old.leaves
            state = jax.tree.unflatten(structure, leaf)
            bad = int(piece.ended[at][row]) if piece.status[at][row] == DIVERGED else programs.NEVER
            found[int(lane)] = Life(curves, [*old.states, state.state], target, bad, leaf)


@cache
def lane_structure(block: programs.Block, names: tuple[str, ...]) -> Any:
    """Return the pytree structure of a block's lanes."""
    with jax.enable_x64(block.training.precision == "float64"):
        return jax.tree.structure(programs.lane_shapes(block, names)[0].lanes)


def numbers_of_one(experiment: Experiment) -> dict[str, np.ndarray]:
    """Return the traced numbers of a page without axes."""
    resolved = resolve(experiment)
    return resolving.numbers_of(resolved.variants[0], resolved.lanes)


def numbers_of(plan: Plan, lane: int) -> tuple[programs.Block, dict[str, np.ndarray]]:
    """Return a lane's block and its traced numbers as the program receives them."""
    for program in plan.programs:
        for block, members, numbers in zip(program.blocks, program.members, program.numbers, strict=True):
            for at in np.flatnonzero(members == lane):
                typed = {k: np.asarray(v[at], programs.number_dtype(k, block.training)) for k, v in numbers.items()}
                return block, typed
    raise AssertionError(f"lane {lane} is in no block")


def data_of(plan: Plan, lane: int) -> Any:
    """Draw a lane's `Data` as the program does, as NumPy arrays."""
    block, numbers = numbers_of(plan, lane)
    with settings_of(plan):
        begin = programs.compile_beginning(block, tuple(numbers), plan.devices.live())
        share = programs.compile_sharing(block, tuple(numbers), plan.devices.live())
        shared = share(block.training.arrays(), numbers)
        rows = (block.tiles * plan.devices.count, block.tile)
        place = programs.sharding(plan.devices.live())
        data = begin({k: jax.device_put(np.broadcast_to(v, rows), place) for k, v in numbers.items()}, shared)[1]
        return jax.tree.map(lambda leaf: np.asarray(leaf)[0, 0], data)


def rows_of(experiment: Experiment) -> list[frozenset[tuple[str, Any]]]:
    """For each lane, give the knob values that apply to it."""
    lanes = lay_out(experiment.axes)
    columns = {name: column.tolist() for name, column in lanes.columns.items()}
    return [
        frozenset((k, c[lane]) for k, c in columns.items() if c[lane] == c[lane] and c[lane] != "")
        for lane in range(len(lanes))
    ]


def by_row(experiment: Experiment, lives: list[Life]) -> dict[frozenset[tuple[str, Any]], Life]:
    """Index lives by the knob values of their lanes."""
    return dict(zip(rows_of(experiment), lives, strict=True))


def assert_bitwise(one: Life, other: Life) -> None:
    """Compare a lane's stored values and its state bit by bit."""
    assert set(one.curves) == set(other.curves)
    for name, values in one.curves.items():
        assert values.tobytes() == other.curves[name].tobytes(), name
    assert (one.target is None) == (other.target is None)
    if one.target is not None and other.target is not None:
        assert one.target.tobytes() == other.target.tobytes()
    assert one.first_bad_step == other.first_bad_step
    for left, right in zip(one.states, other.states, strict=True):
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# ---------------------------------------------------------------------------------------------------------
# References for lanes: a simple network, and learning rates in closed form.

REFERENCE_ACTIVATIONS = {
    "tanh": nn.tanh, "relu": nn.relu, "sine": jnp.sin, "cosine": jnp.cos, "sigmoid": nn.sigmoid, "gelu": nn.gelu,
    "softplus": nn.softplus, "silu": nn.silu, "elu": nn.elu, "identity": lambda z: z,
}  # fmt: skip


class Plain(nn.Module):
    """A simple Flax network; the first axis is the point."""

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


def to_flax(parameters: Any) -> Any:
    """Name the layers of a lane's parameters as in Flax."""
    return {"params": {name.replace("layer", "Dense"): layer for name, layer in parameters.items()}}


class Extended(nn.Module):
    """One copy of an `MLP` with its extensions, of Flax's layers; the first axis is the point.

    Args:
        model: its structure.
        numbers: omega0, hidden_omega and dropout, where they are used.
        dtype: precision.
    """

    model: MLP
    numbers: Any
    dtype: Any

    @nn.compact
    def __call__(self, x, frequencies=None, kept=None):
        if frequencies is not None:
            angles = 2 * jnp.pi * (x @ frequencies.T)
            x = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=1)
        for layer, width in enumerate(self.model.layers()):
            z = nn.Dense(width, param_dtype=self.dtype)(x)
            z = nn.LayerNorm(param_dtype=self.dtype)(z) if self.model.layer_norm else z
            h = REFERENCE_ACTIVATIONS[self.model.activation](
                self.numbers.get("hidden_omega" if layer else "omega0", 1.0) * z
            )
            h = h if kept is None else jnp.where(kept[layer].T, h / (1 - self.numbers["dropout"]), 0)
            x = x + h if self.model.residual and layer else h
        return nn.Dense(1, param_dtype=self.dtype)(x)[:, 0]


def to_extended(parameters: Any) -> Any:
    """Name the layers and the normalisations of one copy as in `Extended`."""
    found = {}
    for name, own in parameters.items():
        found[name.replace("layer", "Dense")] = {part: own[part] for part in ("kernel", "bias")}
        if "scale" in own:
            found[name.replace("layer", "LayerNorm")] = {"scale": own["scale"], "bias": own["shift"]}
    return {"params": found}


def both_extended(module: Extended, parameters: Any, *arguments: Any) -> Any:
    """Apply `Extended` to the parameters of an `MLP`, of two copies if it is one of pairs."""
    if not module.model.pairs:
        return module.apply(to_extended(parameters), *arguments)
    first, second = (
        module.apply(to_extended({layer: both[name] for layer, both in parameters.items()}), *arguments)
        for name in ("first", "second")
    )
    return (first - second) / jnp.sqrt(2.0)


def rates_of(schedule: str, peak: float, fraction: float, steps: int) -> np.ndarray:
    """Return the learning rate of each step, in closed form."""
    done = np.arange(steps + 1)
    warmup, rise = round(0.1 * steps), round(0.3 * steps)

    def cosine(share: np.ndarray) -> np.ndarray:
        return (1 - fraction) * (1 + np.cos(np.pi * share)) / 2 + fraction

    return (
        peak
        * {
            "constant": lambda: np.ones(steps + 1),
            "linear": lambda: 1 + (fraction - 1) * done / steps,
            "cosine": lambda: cosine(done / steps),
            "exponential": lambda: fraction ** (done / steps),
            "warmup_cosine": lambda: np.where(
                done < warmup, done / warmup, cosine(np.maximum(done - warmup, 0) / (steps - warmup))
            ),
            "piecewise": lambda: 0.5 ** ((done >= steps / 2).astype(int) + (done >= 0.75 * steps)),
            "one_cycle": lambda: np.where(  # from a tenth
                done < rise, 1 - 0.9 * (1 + np.cos(np.pi * done / rise)) / 2, cosine((done - rise) / (steps - rise))
            ),
        }[schedule]()
    )
