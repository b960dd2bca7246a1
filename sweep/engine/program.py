"""The one program that leads all lanes through their training, tile by tile.

Nothing here knows a file, a clock, a terminal, or what is trained. The program takes room for a wave of lanes, block by
block, and a traced number of tiles that are alive, so that waves, survivors and resumed sweeps are served
by the same compiled code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int

from sweep.base.errors import SweepError
from sweep.engine.keys import Keys
from sweep.engine.training import Data, Numbers, State, Training
from sweep.engine.unbatched import unbatched

Device: TypeAlias = Any  # a `jax.Device`, which type checkers see as a variable
NEVER: Final = -1  # `first_bad_step` of a lane that is finite so far
SHARED: Final = ()  # what lanes have in common: nothing yet
_MEASURED_TILES: Final = 8  # times as many points as a tile's step that a record may look at together
# Beginning a lane runs once and takes microseconds, but its random numbers take XLA longer to optimise than to
# compile plainly, and so small a module need not be split. Only options that all supported releases of jax know.
QUICK: Final = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}


@dataclass(frozen=True)
class Block:
    """The lanes of one training inside the program.

    Args:
        training: what decides their code.
        tile: lanes advanced together.
        tiles: room for this many tiles on each device.
    """

    training: Training
    tile: int
    tiles: int


class Lane(NamedTuple):
    """What one lane carries from step to step.

    Args:
        state: of its training, the last sound one.
        first_bad_step: steps taken when it first was not finite; `NEVER` so far.
    """

    state: State
    first_bad_step: Int[Array, ""]


class BlockArrays(NamedTuple):
    """The arrays of one block: each leaf starts with the axes (tiles of all devices, tile)."""

    lanes: Lane
    data: Data
    numbers: Numbers


def begin(block: Block, numbers: Numbers) -> tuple[Lane, Data]:
    """Draw what one lane begins with."""
    state, data = block.training.begin(Keys.of(numbers), numbers, SHARED)
    return Lane(state, jnp.int32(NEVER)), data


def finish(
    block: Block, numbers: Numbers, data: Data, lane: Lane, step: Int[Array, ""]
) -> tuple[Lane, dict[str, Array]]:
    """Measure one lane; NaN from the first moment on at which it is not sound."""
    values, sound = block.training.measure(lane.state, data, SHARED, numbers, step)
    bad = (lane.first_bad_step == NEVER) & ~sound
    first_bad = jnp.where(bad, step, lane.first_bad_step).astype(jnp.int32)
    dtype = np.dtype(block.training.precision)
    known = jax.tree.map(lambda value: jnp.where(first_bad == NEVER, value, jnp.nan).astype(dtype), values)
    return lane._replace(first_bad_step=first_bad), known


def _all_finite(tree: Any) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class _Walk(NamedTuple):
    """How far the lanes of a tile have come in a segment.

    Args:
        lanes: their states, of dead ones the last sound one.
        done: steps taken.
        stride: steps to try next.
        tried: steps executed, those that led nowhere included.
    """

    lanes: Lane
    done: Int[Array, ""]
    stride: Int[Array, ""]
    tried: Int[Array, ""]


def _advance_tile(block: Block, arrays: BlockArrays, start: Int[Array, ""], steps: Int[Array, ""]) -> _Walk:
    """Advance the lanes of one tile by some steps; a lane that stops being finite is frozen and dated.

    To look at every parameter at every step, and to keep the old ones until it is known that the new ones
    are finite, costs a fifth of a step. So many steps are tried without looking, where the training says that what is
    not finite never is again. Where a lane was lost, the same steps are tried again from where they began, in halves,
    down to the single step that lost it. Tries are runs of one compiled loop, so their bits are those of any other cut.
    """

    def try_stride(walk: _Walk) -> _Walk:
        taken, first = jnp.minimum(walk.stride, steps - walk.done), start + walk.done
        trial, sound = _run(block, arrays, walk.lanes, first, taken)
        lost = (walk.lanes.first_bad_step == NEVER) & ~(sound & _sound(block.training, trial.state))
        accepted = ~lost.any() | (taken == 1)
        # What a step computes on the way, as a loss, is of the state before it.
        bad_step = jnp.where(lost, first + sound, walk.lanes.first_bad_step).astype(jnp.int32)
        kept = _freeze(trial._replace(first_bad_step=bad_step), walk.lanes, bad_step != NEVER)
        lanes = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), kept, walk.lanes)
        stride = jnp.where(accepted, 2 * taken if block.training.stays_not_finite else taken, taken // 2)
        return _Walk(lanes, walk.done + jnp.where(accepted, taken, 0), stride, walk.tried + taken)

    none, stride = jnp.int32(0), steps if block.training.stays_not_finite else jnp.int32(1)
    return jax.lax.while_loop(lambda walk: walk.done < steps, try_stride, _Walk(arrays.lanes, none, stride, none))


def _run(
    block: Block, arrays: BlockArrays, lanes: Lane, first: Int[Array, ""], taken: Int[Array, ""]
) -> tuple[Lane, Bool[Array, " tile"]]:
    """Take some steps with all lanes of a tile, and tell of which all was finite that steps computed on the way."""

    def step_once(step: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
        states, sound = carry
        states, now = jax.vmap(block.training.step, in_axes=(0, 0, None, 0, None))(
            states, arrays.data, SHARED, arrays.numbers, step
        )
        return states, sound & now

    sound, last, period = jnp.ones(block.tile, bool), first + taken, block.training.renewed_every
    if period is None:
        states, sound = jax.lax.fori_loop(first, last, step_once, (lanes.state, sound))
        return lanes._replace(state=states), sound

    def through_a_period(at: tuple[Array, State, Array]) -> tuple[Array, State, Array]:
        step, states, sound = at
        states = _renew(block.training, period, arrays, states, step)
        end = jnp.minimum(step + period - step % period, last)
        return end, *jax.lax.fori_loop(step, end, step_once, (states, sound))

    # Outside of the loop over steps, which would copy what a period has at each.
    _, states, sound = jax.lax.while_loop(lambda at: at[0] < last, through_a_period, (first, lanes.state, sound))
    return lanes._replace(state=states), sound


def _sound(training: Training, states: State) -> Bool[Array, " tile"]:
    return jax.vmap(lambda state: _all_finite(training.must_be_finite(state)))(states)


def _freeze(lanes: Lane, before: Lane, dead: Bool[Array, " tile"]) -> Lane:
    """Give dead lanes the state that they had before."""

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(dead.reshape(-1, *(1,) * (new.ndim - 1)), old, new)

    return lanes._replace(state=jax.tree.map(choose, lanes.state, before.state))


def _renew(training: Training, period: int, arrays: BlockArrays, states: State, step: Int[Array, ""]) -> State:
    """Have a tile's lanes renew what stays for a period, where one begins."""
    fresh = step % period == 0  # the same for all lanes, so one branch runs
    renew = jax.vmap(training.renew, in_axes=(0, 0, None, 0, None))
    return jax.lax.cond(fresh, lambda: renew(states, arrays.data, SHARED, arrays.numbers, step), lambda: states)


def _advance_block(
    block: Block,
    arrays: BlockArrays,
    start: Int[Array, ""],
    steps: Int[Array, ""],
    live: Int[Array, ""],
    at_record: Bool[Array, ""],
) -> tuple[Lane, dict[str, Array], Int[Array, ""]]:
    """Advance the first `live` tiles of a block, one after another, so that each stays in cache; measure at records.

    Between records (where a segment was cut for time) nothing may be seen that changes a lane: with batches the
    loss over all points can overflow before that of the present batch, and clocks must not date it.
    """

    def at(tree: Any, tile: Int[Array, ""]) -> Any:
        return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, tile, keepdims=False), tree)

    def put(tree: Any, values: Any, tile: Int[Array, ""]) -> Any:
        def place(leaf: Array, value: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(leaf, value, tile, 0)

        return jax.tree.map(place, tree, values)

    def measured(arrays: BlockArrays, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        def measure(lane: tuple[Numbers, Data, Lane]) -> tuple[Lane, dict[str, Array]]:
            return finish(block, *lane, start + steps)

        together = _lanes_a_measurement(block)
        each = jax.vmap(measure) if together == block.tile else partial(jax.lax.map, measure, batch_size=together)
        return each((arrays.numbers, arrays.data, lanes))

    def unmeasured(arrays: BlockArrays, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        return lanes, jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), like)

    def one_tile(tile: Int[Array, ""], carry: Any) -> Any:
        lanes, values, tried = carry
        own = BlockArrays(at(lanes, tile), at(arrays.data, tile), at(arrays.numbers, tile))
        walk = _advance_tile(block, own, start, steps)
        new = jax.lax.cond(at_record, measured, unmeasured, own, walk.lanes)
        return put(lanes, new[0], tile), put(values, new[1], tile), tried + walk.tried

    first = jax.tree.map(lambda leaf: leaf[0], arrays)
    like = jax.eval_shape(measured, first, first.lanes)[1]
    empty = jax.tree.map(lambda leaf: jnp.full((block.tiles, *leaf.shape), jnp.nan, leaf.dtype), like)
    return jax.lax.fori_loop(0, live, one_tile, (arrays.lanes, empty, jnp.int32(0)))


def _lanes_a_measurement(block: Block) -> int:
    """Tell how many lanes of a tile are measured at once: all, but where a step looks at a small part of the points.

    The tile's size is right for steps; of all points its arrays would be gigabytes.
    """
    cost = block.training.cost()
    fitting = max(1, block.tile * _MEASURED_TILES * cost.points // cost.of_points)
    return min(block.tile, 2 ** (fitting.bit_length() - 1))  # a divisor of the tile


def mesh_of(devices: Sequence[Device]) -> Mesh:
    """Line devices up; tiles are dealt out along this line."""
    return Mesh(np.array(devices), ("device",), axis_types=(AxisType.Auto,))


def sharding(devices: Sequence[Device]) -> NamedSharding:
    """Give the placement of every array of a block: tiles over devices."""
    return NamedSharding(mesh_of(devices), PartitionSpec("device"))


def program(blocks: tuple[Block, ...], devices: tuple[Device, ...]) -> Any:
    """Build the one training program of a sweep, traced but not compiled.

    Args:
        blocks: all blocks of the plan.
        devices: where tiles are dealt out to.

    Returns:
        A jitted function of `lanes` (donated), `data`, `numbers` (one pytree for each block), `start` and
        `steps` (optimiser steps taken and to take, one number for each block), `live` (tiles alive, of
        shape (devices, blocks)) and `at_record` (whether a record is taken there); it returns new lanes, the
        values of a record, block by block, and the steps that tiles have tried, of the shape of `live`.
    """
    dealt, same = PartitionSpec("device"), PartitionSpec()

    def train(lanes: Any, data: Any, numbers: Any, start: Array, steps: Array, live: Array, at_record: Array) -> Any:
        done = [
            _advance_block(block, BlockArrays(lanes[i], data[i], numbers[i]), start[i], steps[i], live[0, i], at_record)
            for i, block in enumerate(blocks)
        ]
        lanes, values, tried = zip(*done, strict=True)
        return list(lanes), list(values), jnp.stack(tried)[None]

    mapped = jax.shard_map(
        unbatched(train) if devices[0].platform == "cpu" else train,
        mesh=mesh_of(devices),
        in_specs=(dealt, dealt, dealt, same, same, dealt, same),
        out_specs=(dealt, dealt, dealt),
        check_vma=False,  # the trip counts differ between devices, which the check can't follow
    )
    return jax.jit(mapped, donate_argnums=0)


def beginning(block: Block, devices: tuple[Device, ...]) -> Any:
    """Build the small program that draws the data and initial parameters of a block's lanes."""
    lanes = jax.vmap(jax.vmap(partial(begin, block)))
    return jax.jit(unbatched(lanes) if devices[0].platform == "cpu" else lanes, out_shardings=sharding(devices))


def array_shapes(block: Block, devices: tuple[Device, ...], names: tuple[str, ...]) -> BlockArrays:
    """Describe a block's arrays without making them: shapes, dtypes and placement.

    Args:
        block: the block.
        devices: where its tiles lie.
        names: the names of its traced numbers.
    """
    leading = (block.tiles * len(devices), block.tile)
    place = sharding(devices)

    def described(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    numbers: Any = {name: jax.ShapeDtypeStruct(leading, number_dtype(name, block.training)) for name in names}
    lanes, data = jax.eval_shape(jax.vmap(jax.vmap(partial(begin, block))), numbers)
    return jax.tree.map(described, BlockArrays(lanes, data, numbers))


def number_dtype(name: str, training: Training) -> Any:
    """Give the dtype in which a traced number enters the program."""
    if name in ("seed", "data_seed"):
        return np.uint32
    return np.int32 if name == "width" else np.dtype(training.precision)


@lru_cache(maxsize=64)
def compiled(blocks: tuple[Block, ...], names: tuple[tuple[str, ...], ...], devices: tuple[Device, ...]) -> Any:
    """Compile the training program for these blocks once in a process.

    Args:
        blocks: all blocks.
        names: for each block the names of its traced numbers.
        devices: where tiles are dealt out to.
    """
    described = [array_shapes(block, devices, own) for block, own in zip(blocks, names, strict=True)]
    counts = jax.ShapeDtypeStruct((len(blocks),), np.int32)
    live = jax.ShapeDtypeStruct((len(devices), len(blocks)), np.int32, sharding=sharding(devices))
    lowered = program(blocks, devices).lower(
        [own.lanes for own in described], [own.data for own in described], [own.numbers for own in described],
        counts, counts, live, jax.ShapeDtypeStruct((), np.bool_),
    )  # fmt: skip
    return lowered.compile()


@lru_cache(maxsize=256)
def compiled_beginning(block: Block, names: tuple[str, ...], devices: tuple[Device, ...]) -> Any:
    """Compile the program that begins a block's lanes once in a process."""
    return beginning(block, devices).lower(array_shapes(block, devices, names).numbers).compile(compiler_options=QUICK)


def lane_shapes(block: Block, names: tuple[str, ...]) -> tuple[BlockArrays, dict[str, jax.ShapeDtypeStruct]]:
    """Describe one lane's arrays and the values of one of its records, without making them.

    Args:
        block: its block; tiles do not matter.
        names: the names of its traced numbers.
    """
    return _lane_shapes(replace(block, tile=1, tiles=1), names)


@lru_cache(maxsize=256)
def _lane_shapes(block: Block, names: tuple[str, ...]) -> tuple[BlockArrays, dict[str, jax.ShapeDtypeStruct]]:
    numbers: Any = {name: jax.ShapeDtypeStruct((), number_dtype(name, block.training)) for name in names}
    lane, data = jax.eval_shape(partial(begin, block), numbers)
    step = jax.ShapeDtypeStruct((), np.int32)
    return BlockArrays(lane, data, numbers), jax.eval_shape(partial(finish, block), numbers, data, lane, step)[1]


def check_metrics(block: Block, names: tuple[str, ...]) -> None:
    """Refuse a metric whose value has not the dimensions it states, and a target, module or metric that fails.

    Args:
        block: one block.
        names: the names of its traced numbers.

    Raises:
        SweepError: with the shape got and the shape stated.
    """
    values = lane_shapes(block, names)[1]
    sizes = {dim: len(values) for dim, values in block.training.dimensions().items()}
    for quantity in block.training.quantities():
        stated = tuple(sizes[dim] for dim in quantity.dims)
        got = tuple(values[quantity.name].shape)
        if got != stated:
            raise SweepError(
                f"metric {quantity.name!r} states the dimensions {quantity.dims} of sizes {stated}, "
                f"but its function returns an array of shape {got}"
            )
