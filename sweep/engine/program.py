"""The one program that trains all lanes, tile by tile.

Nothing here knows a file, a clock, a terminal, or what is trained. The arrays of the program have space for a wave of
lanes, block by block, and the number of tiles in use is traced. So the same compiled code serves all waves, the lanes
that are left after others ended, and resumed sweeps.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Int

from sweep.base.errors import SweepError
from sweep.engine.compiler_options import compiler_options
from sweep.engine.keys import Keys
from sweep.engine.quotients import with_reciprocals
from sweep.engine.training import Data, Numbers, Shared, State, Training
from sweep.engine.unbatched import unbatch

Device: TypeAlias = Any  # a `jax.Device`, which type checkers see as a variable
NEVER: Final = -1  # `first_bad_step` of a lane that is finite so far
_MEASURED_TILES: Final = 8  # a record may use this many times the points of a tile's step at once
# The program that begins lanes runs once, for microseconds, and optimising it takes XLA longer than compiling it
# without. So small a module need not be split either. All supported releases of jax know these options.
QUICK: Final = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}


@dataclass(frozen=True)
class Block:
    """The lanes of one training inside the program.

    Args:
        training: what is trained; it decides the code.
        tile: number of lanes that are advanced together.
        tiles: number of tiles that each device has space for.
    """

    training: Training
    tile: int
    tiles: int


class Lane(NamedTuple):
    """What one lane keeps from step to step.

    Args:
        state: the last sound state of its training.
        first_bad_step: number of steps after which it was first not finite; `NEVER` while it is.
    """

    state: State
    first_bad_step: Int[Array, ""]


class BlockArrays(NamedTuple):
    """The arrays of one block; the leading axes of each are (tiles of all devices, lanes of a tile).

    Only `shared`, what lanes have in common, has neither; it is whole on every device.
    """

    lanes: Lane
    data: Data
    numbers: Numbers
    shared: Shared


def share(block: Block, arrays: Any, numbers: Numbers) -> Shared:
    """Make what the lanes of a block have in common, from arrays of the host and the numbers of any lane."""
    return block.training.share(arrays, Keys.of(numbers), numbers)


def begin(block: Block, numbers: Numbers, shared: Shared = ()) -> tuple[Lane, Data]:
    """Draw the initial state and the data of one lane."""
    state, data = block.training.begin(Keys.of(numbers), numbers, shared)
    return Lane(state, jnp.int32(NEVER)), data


def finish(
    block: Block, numbers: Numbers, data: Data, lane: Lane, step: Int[Array, ""], shared: Shared = ()
) -> tuple[Lane, dict[str, Array]]:
    """Measure one lane; values are NaN from the first record on at which it is not sound."""
    values, sound = block.training.measure(lane.state, data, shared, numbers, step)
    bad = (lane.first_bad_step == NEVER) & ~sound
    first_bad = jnp.where(bad, step, lane.first_bad_step).astype(jnp.int32)
    dtype = np.dtype(block.training.precision)
    known = jax.tree.map(lambda value: jnp.where(first_bad == NEVER, value, jnp.nan).astype(dtype), values)
    return lane._replace(first_bad_step=first_bad), known


def _all_finite(tree: Any) -> Bool[Array, ""]:
    leaves = jax.tree.leaves(tree)
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all() if leaves else jnp.bool_(True)


class _Walk(NamedTuple):
    """Progress of a tile's lanes in a segment.

    Args:
        lanes: their states; of lost lanes the last sound one.
        done: number of steps taken.
        stride: number of steps to try next.
        tried: number of steps executed, with those that were tried again.
    """

    lanes: Lane
    done: Int[Array, ""]
    stride: Int[Array, ""]
    tried: Int[Array, ""]


def _advance_tile(block: Block, arrays: BlockArrays, start: Int[Array, ""], steps: Int[Array, ""]) -> _Walk:
    """Advance the lanes of one tile by some steps; a lane that is no longer finite is frozen, and the step is noted.

    Checking every parameter after every step, and keeping the old ones until then, costs a fifth of a step. So many
    steps are tried before a check, if the training says that what is not finite stays so. If a lane was lost, the same
    steps are tried again from where they began, half as many at a time, down to the one step that lost the lane. All
    tries run one compiled loop, so the bits do not depend on how the steps are divided.
    """

    def try_stride(walk: _Walk) -> _Walk:
        taken, first = jnp.minimum(walk.stride, steps - walk.done), start + walk.done
        trial, sound = _run(block, arrays, walk.lanes, first, taken)
        lost = (walk.lanes.first_bad_step == NEVER) & ~(sound & _sound(block.training, trial.state))
        accepted = ~lost.any() | (taken == 1)
        # A step's loss is that of the state before the step.
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
    """Take some steps with all lanes of a tile, and tell for which lanes everything that was computed was finite."""
    own, common = _split(block.training, arrays.numbers)

    def step_once(step: Int[Array, ""], carry: tuple[State, Array]) -> tuple[State, Array]:
        states, sound = carry
        states, now = jax.vmap(
            lambda state, data, own: block.training.step(state, data, arrays.shared, own | common, step)
        )(states, arrays.data, own)
        return states, sound & now

    sound, last, period = jnp.ones(block.tile, bool), first + taken, block.training.renewed_every
    if period is None:
        states, sound = jax.lax.fori_loop(first, last, step_once, (lanes.state, sound))
        return lanes._replace(state=states), sound

    def run_period(at: tuple[Array, State, Array]) -> tuple[Array, State, Array]:
        step, states, sound = at
        states = _renew(block.training, period, arrays, states, step)
        end = jnp.minimum(step + period - step % period, last)
        return end, *jax.lax.fori_loop(step, end, step_once, (states, sound))

    # Outside of the loop over steps, in which XLA would copy the order at every step.
    _, states, sound = jax.lax.while_loop(lambda at: at[0] < last, run_period, (first, lanes.state, sound))
    return lanes._replace(state=states), sound


def _sound(training: Training, states: State) -> Bool[Array, " tile"]:
    return jax.vmap(lambda state: _all_finite(training.must_be_finite(state)))(states)


def _freeze(lanes: Lane, before: Lane, lost: Bool[Array, " tile"]) -> Lane:
    """Return lost lanes to the state before."""

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(lost.reshape(-1, *(1,) * (new.ndim - 1)), old, new)

    return lanes._replace(state=jax.tree.map(choose, lanes.state, before.state))


def _renew(training: Training, period: int, arrays: BlockArrays, states: State, step: Int[Array, ""]) -> State:
    """Call `renew` for a tile's lanes if a period begins at this step."""
    fresh = step % period == 0  # the same for all lanes, so one branch runs
    own, common = _split(training, arrays.numbers)
    renew = jax.vmap(lambda state, data, own: training.renew(state, data, arrays.shared, own | common, step))
    return jax.lax.cond(fresh, lambda: renew(states, arrays.data, own), lambda: states)


def _split(training: Training, numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Split a tile's numbers into those of each lane, and those that its lanes have in common, which are scalars."""
    own = {name: values for name, values in numbers.items() if name not in training.common}
    return own, {name: numbers[name][0] for name in training.common}


def _advance_block(
    block: Block,
    arrays: BlockArrays,
    start: Int[Array, ""],
    steps: Int[Array, ""],
    live: Int[Array, ""],
    at_record: Bool[Array, ""],
) -> tuple[Lane, dict[str, Array], Int[Array, ""]]:
    """Advance the first `live` tiles of a block, one after another, so that each stays in cache; measure at records.

    Between records, where a segment ended by time, nothing is measured: with batches, the loss over all points can
    overflow before that of the present batch does, and the date of a lost lane must not depend on a clock.
    """

    def take(tree: Any, tile: Int[Array, ""]) -> Any:
        return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, tile, keepdims=False), tree)

    def put(tree: Any, values: Any, tile: Int[Array, ""]) -> Any:
        def place(leaf: Array, value: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(leaf, value, tile, 0)

        return jax.tree.map(place, tree, values)

    def measure_tile(arrays: BlockArrays, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        own, common = _split(block.training, arrays.numbers)

        def measure(lane: tuple[Numbers, Data, Lane]) -> tuple[Lane, dict[str, Array]]:
            own, data, state = lane
            return finish(block, own | common, data, state, start + steps, arrays.shared)

        together = _lanes_a_measurement(block)
        each = jax.vmap(measure) if together == block.tile else partial(jax.lax.map, measure, batch_size=together)
        return each((own, arrays.data, lanes))

    def measure_nothing(arrays: BlockArrays, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        return lanes, unknown(block.tile)

    def one_tile(tile: Int[Array, ""], carry: Any) -> Any:
        lanes, values, tried = carry
        own = BlockArrays(take(lanes, tile), take(arrays.data, tile), take(arrays.numbers, tile), arrays.shared)
        walk = _advance_tile(block, own, start, steps)
        new = jax.lax.cond(at_record, measure_tile, measure_nothing, own, walk.lanes)
        return put(lanes, new[0], tile), put(values, new[1], tile), tried + walk.tried

    def unknown(*lanes: int) -> dict[str, Array]:
        return {name: jnp.full((*lanes, *value.shape), jnp.nan, value.dtype) for name, value in measured.items()}

    measured = lane_shapes(block, tuple(arrays.numbers))[1]
    return jax.lax.fori_loop(0, live, one_tile, (arrays.lanes, unknown(block.tiles, block.tile), jnp.int32(0)))


def _lanes_a_measurement(block: Block) -> int:
    """Return how many lanes of a tile are measured at once: all, except where a batch is a small part of the points.

    The size of the tile suits a step; for all points its arrays could be gigabytes.
    """
    cost = block.training.cost()
    fitting = max(1, block.tile * _MEASURED_TILES * cost.points // cost.of_points)
    return min(block.tile, 2 ** (fitting.bit_length() - 1))  # a divisor of the tile


def mesh_of(devices: Sequence[Device]) -> Mesh:
    """Make a mesh of one axis, over which tiles are distributed."""
    return Mesh(np.array(devices), ("device",), axis_types=(AxisType.Auto,))


def sharding(devices: Sequence[Device]) -> NamedSharding:
    """Return the sharding of every array of a block: tiles over devices."""
    return NamedSharding(mesh_of(devices), PartitionSpec("device"))


def program(blocks: tuple[Block, ...], devices: tuple[Device, ...]) -> Any:
    """Build the one training program of a sweep, traced but not compiled.

    Args:
        blocks: all blocks of the plan.
        devices: over which tiles are distributed.

    Returns:
        A jitted function of `lanes` (donated), `data`, `numbers` (one pytree for each block), `shared` (one for each of
        `sharing_keys`), `start` and
        `steps` (optimiser steps taken and to take, one number for each block), `live` (tiles in use, of shape
        (devices, blocks)) and `at_record` (whether it measures). It returns the new lanes, the measured values,
        block by block, and the steps that tiles executed, of the shape of `live`.
    """
    split, same = PartitionSpec("device"), PartitionSpec()

    keys = sharing_keys(blocks)

    def train(
        lanes: Any, data: Any, numbers: Any, shared: Any, start: Array, steps: Array, live: Array, at_record: Array
    ) -> Any:
        common = dict(zip(keys, shared, strict=True))
        own = [
            BlockArrays(lanes[i], data[i], numbers[i], common.get(block.training.shared_by, ()))
            for i, block in enumerate(blocks)
        ]
        done = [
            _same_on_any_number(partial(_advance_block, block), block, devices)(
                own[i], start[i], steps[i], live[0, i], at_record
            )
            for i, block in enumerate(blocks)
        ]
        lanes, values, tried = zip(*done, strict=True)
        return list(lanes), list(values), jnp.stack(tried)[None]

    mapped = jax.shard_map(
        unbatch(train) if devices[0].platform == "cpu" else train,
        mesh=mesh_of(devices),
        in_specs=(split, split, split, same, same, same, split, same),
        out_specs=(split, split, split),
        check_vma=False,  # loops differ in length between devices, which the check does not allow
    )
    return jax.jit(mapped, donate_argnums=0)


def _same_on_any_number(function: Callable[..., Any], block: Block, devices: tuple[Device, ...]) -> Callable[..., Any]:
    """Give steps that divide arrays by one number a form that has the same bits on one device and on several."""
    return with_reciprocals(function) if block.training.divides_arrays and devices[0].platform == "cpu" else function


def sharing_keys(blocks: Sequence[Block]) -> tuple[Hashable, ...]:
    """List the keys of what blocks share, each once, in the order in which the program gets them."""
    keys = dict.fromkeys(block.training.shared_by for block in blocks)
    return tuple(key for key in keys if key is not None)


def sharing(block: Block, devices: tuple[Device, ...]) -> Any:
    """Build the small program that makes what a block's lanes share, whole on each device."""
    whole = NamedSharding(mesh_of(devices), PartitionSpec())
    return jax.jit(partial(share, block), out_shardings=whole)


def beginning(block: Block, devices: tuple[Device, ...]) -> Any:
    """Build the small program that draws the data and initial parameters of a block's lanes."""
    lanes = jax.vmap(jax.vmap(partial(begin, block), in_axes=(0, None)), in_axes=(0, None))
    lanes = _same_on_any_number(lanes, block, devices)
    return jax.jit(unbatch(lanes) if devices[0].platform == "cpu" else lanes, out_shardings=sharding(devices))


def array_shapes(block: Block, devices: tuple[Device, ...], names: tuple[str, ...]) -> BlockArrays:
    """Describe a block's arrays without making them: shapes, dtypes and placement.

    Args:
        block: the block.
        devices: where its tiles lie.
        names: the names of its traced numbers.
    """
    leading = (block.tiles * len(devices), block.tile)
    place = sharding(devices)

    def describe(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype, sharding=place)

    own = lane_shapes(block, names)[0]
    whole = NamedSharding(mesh_of(devices), PartitionSpec())
    shared = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), own.shared)
    lanes, data, numbers = (jax.tree.map(describe, part) for part in (own.lanes, own.data, own.numbers))
    return BlockArrays(lanes, data, numbers, shared)


def number_dtype(name: str, training: Training) -> Any:
    """Return the dtype of a traced number in the program."""
    if name in ("seed", "data_seed"):
        return np.uint32
    return np.int32 if name in training.whole_numbers else np.dtype(training.precision)


@lru_cache(maxsize=64)
def compile_training(blocks: tuple[Block, ...], names: tuple[tuple[str, ...], ...], devices: tuple[Device, ...]) -> Any:
    """Compile the training program for these blocks once in a process; the arguments are those of `lower_training`."""
    return lower_training(blocks, names, devices).compile(compiler_options=compiler_options(devices[0].platform))


def lower_training(blocks: tuple[Block, ...], names: tuple[tuple[str, ...], ...], devices: tuple[Device, ...]) -> Any:
    """Trace the training program for these blocks, for the compiler.

    Args:
        blocks: all blocks.
        names: for each block the names of its traced numbers.
        devices: over which tiles are distributed.
    """
    described = [array_shapes(block, devices, own) for block, own in zip(blocks, names, strict=True)]
    counts = jax.ShapeDtypeStruct((len(blocks),), np.int32)
    live = jax.ShapeDtypeStruct((len(devices), len(blocks)), np.int32, sharding=sharding(devices))
    return program(blocks, devices).lower(
        [own.lanes for own in described], [own.data for own in described], [own.numbers for own in described],
        shared_by_key(blocks, [own.shared for own in described]), counts, counts, live,
        jax.ShapeDtypeStruct((), np.bool_),
    )  # fmt: skip


def shared_by_key(blocks: Sequence[Block], shared: Sequence[Shared]) -> list[Shared]:
    """List what blocks share in the order of `sharing_keys`."""
    found = {block.training.shared_by: own for block, own in zip(blocks, shared, strict=True)}
    return [found[key] for key in sharing_keys(blocks)]


@lru_cache(maxsize=256)
def compile_beginning(block: Block, names: tuple[str, ...], devices: tuple[Device, ...]) -> Any:
    """Compile the program that begins a block's lanes once in a process."""
    described = array_shapes(block, devices, names)
    lowered = beginning(block, devices).lower(described.numbers, described.shared)
    return lowered.compile(compiler_options=QUICK | compiler_options(devices[0].platform))


@lru_cache(maxsize=256)
def compile_sharing(block: Block, names: tuple[str, ...], devices: tuple[Device, ...]) -> Any:
    """Compile the program that makes what a block's lanes share once in a process."""
    lowered = sharing(block, devices).lower(*_shared_from(block, names))
    return lowered.compile(compiler_options=QUICK | compiler_options(devices[0].platform))


def _shared_from(block: Block, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Describe from what a block's shared arrays are made: arrays of the host, and one lane's traced numbers."""
    arrays = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), block.training.arrays())
    return arrays, {name: jax.ShapeDtypeStruct((), number_dtype(name, block.training)) for name in names}


def lane_shapes(block: Block, names: tuple[str, ...]) -> tuple[BlockArrays, dict[str, jax.ShapeDtypeStruct]]:
    """Describe one lane's arrays and the values of one of its records, without making them.

    Args:
        block: its block; tiles do not matter.
        names: the names of its traced numbers.
    """
    return _lane_shapes(replace(block, tile=1, tiles=1), names, bool(jax.config.jax_enable_x64))  # pyright: ignore[reportAttributeAccessIssue]


@lru_cache(maxsize=256)
def _lane_shapes(block: Block, names: tuple[str, ...], _: bool) -> tuple[BlockArrays, dict[str, jax.ShapeDtypeStruct]]:
    arrays, numbers = _shared_from(block, names)
    shared = jax.eval_shape(partial(share, block), arrays, numbers)
    lane, data = jax.eval_shape(partial(begin, block), numbers, shared)
    step = jax.ShapeDtypeStruct((), np.int32)
    measured = jax.eval_shape(partial(finish, block), numbers, data, lane, step, shared)[1]
    return BlockArrays(lane, data, numbers, shared), measured


def check_metrics(block: Block, names: tuple[str, ...]) -> None:
    """Refuse a metric whose value does not have the stated dimensions, and a target, module or metric that fails.

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


def check_step(block: Block, names: tuple[str, ...]) -> None:
    """Trace a step that runs code of the page, which refuses what fails there.

    Args:
        block: one block.
        names: the names of its traced numbers.

    Raises:
        SweepError: with the function of the page, and what it raised or returned.
    """
    if block.training.runs_code_of_page:
        own, step = lane_shapes(block, names)[0], jax.ShapeDtypeStruct((), np.int32)
        jax.eval_shape(block.training.step, own.lanes.state, own.data, own.shared, own.numbers, step)


def code_of(block: Block, names: tuple[str, ...]) -> str:
    """Give the code of a lane as text: what begins it, a step, and what measures it; within the settings of a plan.

    Args:
        block: its block; tiles do not matter.
        names: the names of its traced numbers.
    """
    own, step = lane_shapes(block, names)[0], jax.ShapeDtypeStruct((), np.int32)
    training, period = block.training, block.training.renewed_every

    def whole(numbers: Numbers, lane: Lane, data: Data, shared: Shared, step: Int[Array, ""]) -> Any:
        taken = training.step(lane.state, data, shared, numbers, step)
        fresh = () if period is None else training.renew(lane.state, data, shared, numbers, step)
        return begin(block, numbers, shared), taken, fresh, finish(block, numbers, data, lane, step, shared)

    return jax.jit(whole).lower(own.numbers, own.lanes, own.data, own.shared, step).as_text()


def unused_numbers(block: Block, names: tuple[str, ...]) -> frozenset[str]:
    """Name the traced numbers of which nothing in a lane depends, as tracing it shows.

    Args:
        block: one block.
        names: the names of its traced numbers.
    """
    own, step = lane_shapes(block, names)[0], jax.ShapeDtypeStruct((), np.int32)

    def whole(numbers: Numbers, lane: Lane, data: Data, shared: Shared, step: Int[Array, ""]) -> Any:
        taken = block.training.step(lane.state, data, shared, numbers, step)
        return begin(block, numbers, shared), taken, finish(block, numbers, data, lane, step, shared)

    traced = jax.make_jaxpr(whole)(own.numbers, own.lanes, own.data, own.shared, step).jaxpr
    used = {id(variable) for equation in traced.eqns for variable in equation.invars}
    numbers = zip(sorted(own.numbers), traced.invars, strict=False)  # they come first, in the order of their names
    return frozenset(name for name, variable in numbers if id(variable) not in used)
