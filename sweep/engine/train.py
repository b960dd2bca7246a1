"""One lane's life (begin, advance, finish) and the one program that leads all lanes through it.

Nothing here knows a file, a clock or a terminal. The program takes room for a wave of lanes, block by
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
from jaxtyping import Array, Bool, Float, Int, Key

from sweep.base.errors import SweepError
from sweep.engine import metrics
from sweep.engine.keys import stream
from sweep.engine.networks import Functions, network
from sweep.engine.optimizers import optimizer
from sweep.engine.tasks import Data, draw
from sweep.engine.unbatched import unbatched
from sweep.page.shape import Shape

Numbers = dict[str, Array]
Device: TypeAlias = Any  # a `jax.Device`, which type checkers see as a variable
NEVER: Final = -1  # `first_bad_step` of a lane that is finite so far
_MEASURED_BATCHES: Final = 8  # of a lane's points that a record may look at with all lanes of a tile at once
RANKED_POINTS: Final = 128  # at most so many points are shuffled by counting; a hundred are twice as fast so
# Beginning a lane runs once and takes microseconds, but its random numbers take XLA longer to optimise than to
# compile plainly, and so small a module need not be split. Only options that all supported releases of jax know.
QUICK: Final = {"xla_backend_optimization_level": 0, "xla_cpu_parallel_codegen_split_count": 1}


@dataclass(frozen=True)
class Block:
    """The lanes of one Shape inside the program.

    Args:
        shape: what decides their code; widths are capacities where padded.
        padded: whether lanes may be narrower than their Shape.
        tile: lanes advanced together.
        tiles: room for this many tiles on each device.
    """

    shape: Shape
    padded: bool
    tile: int
    tiles: int


class Lane(NamedTuple):
    """What one lane carries from step to step.

    Args:
        parameters: of the network, the last finite ones.
        optimizer_state: as optax makes it.
        first_bad_step: steps taken when loss or parameters first were not finite; `NEVER` so far.
        order: the present epoch's order of the points; None for full batch.
    """

    parameters: Any
    optimizer_state: Any
    first_bad_step: Int[Array, ""]
    order: Int[Array, " points"] | None


class Room(NamedTuple):
    """The arrays of one block: each leaf starts with the axes (tiles of all devices, tile)."""

    lanes: Lane
    data: Data
    numbers: Numbers


def begin(block: Block, numbers: Numbers) -> tuple[Lane, Data]:
    """Draw one lane's data and initial parameters."""
    shape, dtype = block.shape, np.dtype(block.shape.precision)
    data = draw(shape.task, numbers, dtype, shape.shown)
    parameters = _network(block).init(stream(numbers["seed"], "weights"), data.inputs, numbers)
    state = optimizer(shape.optimizer, shape.steps, numbers, dtype).init(parameters)
    order = None if shape.batch_size is None else jnp.zeros(shape.task.points, jnp.int32)
    return Lane(parameters, state, jnp.int32(NEVER), order), data


def _network(block: Block) -> Functions:
    return network(block.shape.model, block.padded)


def advance(
    block: Block, numbers: Numbers, data: Data, lane: Lane, step: Int[Array, ""]
) -> tuple[Lane, Bool[Array, ""]]:
    """Take one optimiser step, wherever it leads.

    Args:
        block: static description.
        numbers: the lane's traced numbers.
        data: the lane's data.
        lane: its state after `step` steps.
        step: the same for all lanes of a tile.

    Returns:
        The lane after the step, and whether the loss before it was finite.
    """
    shape = block.shape
    inputs, target, weights = _batch(shape, data, lane.order, step)

    def objective(parameters: Any) -> Float[Array, ""]:
        prediction = _network(block).apply_in_steps(parameters, inputs, numbers)
        return metrics.loss_function(shape.loss)(prediction, target, weights)

    loss, gradient = jax.value_and_grad(objective)(lane.parameters)
    rule = optimizer(shape.optimizer, shape.steps, numbers, np.dtype(shape.precision))
    updates, state = rule.update(gradient, lane.optimizer_state, lane.parameters)
    parameters = jax.tree.map(jnp.add, lane.parameters, updates)
    return lane._replace(parameters=parameters, optimizer_state=state), jnp.isfinite(loss)


def _all_finite(tree: Any) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _batch(
    shape: Shape, data: Data, order: Int[Array, " points"] | None, step: Int[Array, ""]
) -> tuple[Array, Array, Array]:
    """Choose inputs, targets and weights of one step; weight 0 fills up the short last batch."""
    if order is None or shape.batch_size is None:
        return data.inputs, data.target, jnp.ones_like(data.target)
    size, points = shape.batch_size, shape.task.points
    place = (step % shape.steps_per_epoch()) * size + jnp.arange(size)
    chosen = order[jnp.minimum(place, points - 1)]
    return data.inputs[:, chosen], data.target[chosen], (place < points).astype(data.target.dtype)


def shuffle(shape: Shape, numbers: Numbers, lane: Lane, step: Int[Array, ""]) -> Lane:
    """Draw a new order of the points, as each epoch starts with."""
    key = jax.random.fold_in(stream(numbers["seed"], "batches"), step // shape.steps_per_epoch())
    return lane._replace(order=permutation(key, shape.task.points).astype(jnp.int32))


def permutation(key: Key[Array, ""], size: int) -> Int[Array, " size"]:
    """Draw an order of 0 ... size - 1: that of random numbers, equal ones in the order they are drawn in.

    Counting, for each number of a few, those before it takes size^2 comparisons, which are vectorised; a sort is not.
    Of 32 bits so few are equal that one sort will do, where `jax.random.permutation` takes two.
    """
    drawn, place = jax.random.bits(key, (size,), jnp.uint32), jnp.arange(size)
    if size > RANKED_POINTS:
        return jnp.argsort(drawn)
    before = (drawn[None] < drawn[:, None]) | ((drawn[None] == drawn[:, None]) & (place[None] < place[:, None]))
    return jnp.sum(before, axis=1)


def finish(
    block: Block,
    numbers: Numbers,
    data: Data,
    lane: Lane,
    step: Int[Array, ""],
) -> tuple[Lane, dict[str, Array]]:
    """Measure one lane; NaN from the first moment on at which it is not finite."""
    shape, functions = block.shape, _network(block)

    def predict(parameters: Any) -> tuple[Array, Array]:
        prediction = functions.apply_in_steps(parameters, data.inputs, numbers)
        weights = jnp.ones_like(data.target)
        return metrics.loss_function(shape.loss)(prediction, data.target, weights), prediction

    (loss, prediction), gradient = jax.value_and_grad(predict, has_aux=True)(lane.parameters)
    x = x_clean = x_prediction = None
    if shape.shown:
        x = jnp.asarray(shape.shown.values(), data.points.dtype)
        x_clean, x_prediction = data.clean, prediction
        if data.x_inputs is not None:
            x_clean, x_prediction = data.x_clean, functions.apply_in_steps(lane.parameters, data.x_inputs, numbers)
    moment = metrics.Moment(
        shape, step, numbers, data, lane.parameters, gradient, functions.by_layer(gradient),
        loss, prediction, x, x_clean, x_prediction,
        lambda parameters, inputs: functions.apply(parameters, inputs, numbers),
    )  # fmt: skip
    never = lane.first_bad_step == NEVER
    bad = never & ~jnp.isfinite(loss)
    first_bad = jnp.where(bad, step, lane.first_bad_step).astype(jnp.int32)
    values = jax.tree.map(
        lambda value: jnp.where(first_bad == NEVER, value, jnp.nan).astype(data.target.dtype),
        metrics.measure(moment),
    )
    return lane._replace(first_bad_step=first_bad), values


class _Walk(NamedTuple):
    """How far the lanes of a tile have come in a segment.

    Args:
        lanes: their states, of dead ones the last finite one.
        done: steps taken.
        stride: steps to try next.
        tried: steps executed, those that led nowhere included.
    """

    lanes: Lane
    done: Int[Array, ""]
    stride: Int[Array, ""]
    tried: Int[Array, ""]


def _advance_tile(block: Block, room: Room, start: Int[Array, ""], steps: Int[Array, ""]) -> _Walk:
    """Advance the lanes of one tile by some steps; a lane that stops being finite is frozen and dated.

    To look at every parameter at every step, and to keep the old ones until it is known that the new ones
    are finite, costs a fifth of a step. So many steps are tried without looking: what is not finite never is
    again. Where a lane was lost, the same steps are tried again from where they began, in halves, down to the
    single step that lost it. Tries are runs of one compiled loop, so their bits are those of any other cut.
    """

    def step_once(step: Int[Array, ""], carry: tuple[Lane, Array]) -> tuple[Lane, Array]:
        lanes, finite = carry
        lanes, now = jax.vmap(partial(advance, block), in_axes=(0, 0, 0, None))(room.numbers, room.data, lanes, step)
        return lanes, finite & now

    def run(lanes: Lane, first: Int[Array, ""], taken: Int[Array, ""]) -> tuple[Lane, Bool[Array, " tile"]]:
        finite, last = jnp.ones(block.tile, bool), first + taken
        if block.shape.batch_size is None:
            return jax.lax.fori_loop(first, last, step_once, (lanes, finite))
        per_epoch = block.shape.steps_per_epoch()

        def through_an_epoch(at: tuple[Array, Lane, Array]) -> tuple[Array, Lane, Array]:
            step, lanes, finite = at
            lanes = _shuffled(block.shape, room.numbers, lanes, step)
            end = jnp.minimum(step + per_epoch - step % per_epoch, last)
            return end, *jax.lax.fori_loop(step, end, step_once, (lanes, finite))

        # Orders are drawn outside of the loop over steps, which would copy those of all points at each.
        return jax.lax.while_loop(lambda at: at[0] < last, through_an_epoch, (first, lanes, finite))[1:]

    def try_stride(walk: _Walk) -> _Walk:
        taken, first = jnp.minimum(walk.stride, steps - walk.done), start + walk.done
        trial, finite_loss = run(walk.lanes, first, taken)
        lost = (walk.lanes.first_bad_step == NEVER) & ~(finite_loss & jax.vmap(_all_finite)(trial.parameters))
        accepted = ~lost.any() | (taken == 1)
        # The loss is of the parameters before a step.
        bad_step = jnp.where(lost, first + finite_loss, walk.lanes.first_bad_step).astype(jnp.int32)
        kept = _frozen(trial._replace(first_bad_step=bad_step), walk.lanes, bad_step != NEVER)
        lanes = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), kept, walk.lanes)
        stride = jnp.where(accepted, 2 * taken, taken // 2)
        return _Walk(lanes, walk.done + jnp.where(accepted, taken, 0), stride, walk.tried + taken)

    none = jnp.int32(0)
    return jax.lax.while_loop(lambda walk: walk.done < steps, try_stride, _Walk(room.lanes, none, steps, none))


def _frozen(lanes: Lane, before: Lane, dead: Bool[Array, " tile"]) -> Lane:
    """Give dead lanes the parameters and optimiser state that they had before."""

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(dead.reshape(-1, *(1,) * (new.ndim - 1)), old, new)

    chosen = jax.tree.map(choose, lanes[:2], before[:2])
    return lanes._replace(parameters=chosen[0], optimizer_state=chosen[1])


def _shuffled(shape: Shape, numbers: Numbers, lanes: Lane, step: Int[Array, ""]) -> Lane:
    """Give a tile's lanes a new order of the points where an epoch begins."""
    fresh = step % shape.steps_per_epoch() == 0  # the same for all lanes, so one branch runs
    draw_orders = jax.vmap(partial(shuffle, shape), in_axes=(0, 0, None))
    return jax.lax.cond(fresh, lambda: draw_orders(numbers, lanes, step), lambda: lanes)


def _advance_block(
    block: Block,
    room: Room,
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

    def measured(room: Room, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        def measure(lane: tuple[Numbers, Data, Lane]) -> tuple[Lane, dict[str, Array]]:
            return finish(block, *lane, start + steps)

        together = _measured_together(block)
        each = jax.vmap(measure) if together == block.tile else partial(jax.lax.map, measure, batch_size=together)
        return each((room.numbers, room.data, lanes))

    def unmeasured(room: Room, lanes: Lane) -> tuple[Lane, dict[str, Array]]:
        return lanes, jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), like)

    def one_tile(tile: Int[Array, ""], carry: Any) -> Any:
        lanes, values, tried = carry
        own = Room(at(lanes, tile), at(room.data, tile), at(room.numbers, tile))
        walk = _advance_tile(block, own, start, steps)
        new = jax.lax.cond(at_record, measured, unmeasured, own, walk.lanes)
        return put(lanes, new[0], tile), put(values, new[1], tile), tried + walk.tried

    first = jax.tree.map(lambda leaf: leaf[0], room)
    like = jax.eval_shape(measured, first, first.lanes)[1]
    empty = jax.tree.map(lambda leaf: jnp.full((block.tiles, *leaf.shape), jnp.nan, leaf.dtype), like)
    return jax.lax.fori_loop(0, live, one_tile, (room.lanes, empty, jnp.int32(0)))


def _measured_together(block: Block) -> int:
    """Tell how many lanes of a tile are measured at once: all, but where a batch is a small part of the points.

    The tile's size is right for batches; of all points its arrays would be gigabytes.
    """
    points, batch = block.shape.task.points, block.shape.batch_size or block.shape.task.points
    fitting = max(1, block.tile * _MEASURED_BATCHES * batch // points)
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
            _advance_block(block, Room(lanes[i], data[i], numbers[i]), start[i], steps[i], live[0, i], at_record)
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


def room_shapes(block: Block, devices: tuple[Device, ...], names: tuple[str, ...]) -> Room:
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

    numbers: Any = {name: jax.ShapeDtypeStruct(leading, number_dtype(name, block.shape)) for name in names}
    lanes, data = jax.eval_shape(jax.vmap(jax.vmap(partial(begin, block))), numbers)
    return jax.tree.map(described, Room(lanes, data, numbers))


def number_dtype(name: str, shape: Shape) -> Any:
    """Give the dtype in which a traced number enters the program."""
    if name in ("seed", "data_seed"):
        return np.uint32
    return np.int32 if name == "width" else np.dtype(shape.precision)


@lru_cache(maxsize=64)
def compiled(blocks: tuple[Block, ...], names: tuple[tuple[str, ...], ...], devices: tuple[Device, ...]) -> Any:
    """Compile the training program for these blocks once in a process.

    Args:
        blocks: all blocks.
        names: for each block the names of its traced numbers.
        devices: where tiles are dealt out to.
    """
    rooms = [room_shapes(block, devices, own) for block, own in zip(blocks, names, strict=True)]
    counts = jax.ShapeDtypeStruct((len(blocks),), np.int32)
    live = jax.ShapeDtypeStruct((len(devices), len(blocks)), np.int32, sharding=sharding(devices))
    lowered = program(blocks, devices).lower(
        [room.lanes for room in rooms], [room.data for room in rooms], [room.numbers for room in rooms],
        counts, counts, live, jax.ShapeDtypeStruct((), np.bool_),
    )  # fmt: skip
    return lowered.compile()


@lru_cache(maxsize=256)
def compiled_beginning(block: Block, names: tuple[str, ...], devices: tuple[Device, ...]) -> Any:
    """Compile the program that begins a block's lanes once in a process."""
    return beginning(block, devices).lower(room_shapes(block, devices, names).numbers).compile(compiler_options=QUICK)


def lane_shapes(block: Block, names: tuple[str, ...]) -> tuple[Room, dict[str, jax.ShapeDtypeStruct]]:
    """Describe one lane's arrays and the values of one of its records, without making them.

    Args:
        block: its block; tiles do not matter.
        names: the names of its traced numbers.
    """
    return _lane_shapes(replace(block, tile=1, tiles=1), names)


@lru_cache(maxsize=256)
def _lane_shapes(block: Block, names: tuple[str, ...]) -> tuple[Room, dict[str, jax.ShapeDtypeStruct]]:
    numbers: Any = {name: jax.ShapeDtypeStruct((), number_dtype(name, block.shape)) for name in names}
    lane, data = jax.eval_shape(partial(begin, block), numbers)
    step = jax.ShapeDtypeStruct((), np.int32)
    return Room(lane, data, numbers), jax.eval_shape(partial(finish, block), numbers, data, lane, step)[1]


def check_metrics(block: Block, names: tuple[str, ...], sizes: dict[str, int]) -> None:
    """Refuse a metric whose value has not the dimensions it states, and a target, module or metric that fails.

    Args:
        block: one block.
        names: the names of its traced numbers.
        sizes: length of each dimension that a metric may have.

    Raises:
        SweepError: with the shape got and the shape stated.
    """
    values = lane_shapes(block, names)[1]
    for quantity in block.shape.quantities():
        stated = tuple(sizes[dim] for dim in quantity.dims)
        got = tuple(values[quantity.name].shape)
        if got != stated:
            raise SweepError(
                f"metric {quantity.name!r} states the dimensions {quantity.dims} of sizes {stated}, "
                f"but its function returns an array of shape {got}"
            )
