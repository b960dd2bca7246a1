"""Plans: what a tile depends on, when widths share a block, and every lane has one seat."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers import make_plan, rows_of, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.base.errors import SweepError, SweepWarning
from sweep.engine import blocks as blocking
from sweep.engine import cost
from sweep.engine.blocks import MAX_BLOCKS, MAX_COMPILE_SECONDS, training_of
from sweep.engine.cost import tile_size
from sweep.engine.plan import CHUNK_LANES, Devices, Fixed, Plan, _divide, pack
from sweep.engine.prepare import settings_of, training_program
from sweep.engine.program import Block
from sweep.engine.seats import Seats, kinds_of
from sweep.page.axes import Axes, grid, lay_out, zipped
from sweep.page.experiment import Experiment
from sweep.page.resolve import resolve, shape_of
from sweep.runs.planning import follow_cut, halve
from sweep.specs import MLP, Halving, Linear, Record, SumOfSines, every, log_spaced


def blocks_of(plan: Plan) -> list[Block]:
    return [block for program in plan.programs for block in program.blocks]


def test_the_tile_depends_on_shape_and_platform_only():
    few, many = tiny(axes=grid(seed=(0,))), tiny(axes=grid(seed=range(300), learning_rate=(0.1, 0.2)))
    tiles = {block.tile for plan in (
        make_plan(few), make_plan(many), make_plan(many, 3), make_plan(many, memory=10**6),
        make_plan(many, wave_lanes=128),
    ) for block in blocks_of(plan)}  # fmt: skip
    assert tiles == {tile_size(training_of(shape_of(few)).cost(), "cpu")}
    own = training_of(shape_of(replace(few, model=MLP(width=64, depth=3), task=SumOfSines(points=128)))).cost()
    sizes = {platform: tile_size(own, platform) for platform in ("cpu", "gpu", "tpu")}
    assert sizes["gpu"] == sizes["tpu"] >= 256
    assert 1 <= sizes["cpu"] <= 32


def test_the_tile_keeps_a_tile_s_arrays_in_cache_and_every_stored_result_depends_on_it():
    """The sizes are pinned: others, also in another process, would change the bits of every result.

    No sweep could then be resumed.
    """
    for width, on_cpu, on_gpu in (
        (4, 32, 4096),
        (8, 32, 4096),
        (16, 16, 2048),
        (32, 8, 1024),
        (64, 4, 512),
        (128, 1, 128),
        (1024, 1, 4),
    ):
        made = Experiment(question="q", task=SumOfSines(), model=MLP(width=width), axes=Axes())
        assert tuple(tile_size(training_of(shape_of(made)).cost(), kind) for kind in ("cpu", "gpu")) == (on_cpu, on_gpu)


def test_up_to_32_structures_nothing_is_padded(monkeypatch):
    assert MAX_BLOCKS == 32
    monkeypatch.setattr(blocking, "MAX_BLOCKS", 4)  # since to plan each takes a while
    plan = make_plan(tiny(axes=grid(width=range(1, 5))))
    assert [block.training.padded for block in blocks_of(plan)] == [False] * 4
    assert "no padding" in plan.reasons[0]


@pytest.mark.core
def test_beyond_32_structures_neighbouring_widths_share_padded_blocks():
    plan = make_plan(tiny(model=MLP(depth=1), axes=grid(width=range(1, 101))))
    assert len(plan.programs) == 1
    assert len(blocks_of(plan)) <= MAX_BLOCKS
    (program,) = plan.programs
    for block, numbers in zip(program.blocks, program.numbers, strict=True):
        capacity = block.training.shape.model.width
        assert numbers["width"].max() == capacity
        assert (capacity <= 2 * numbers["width"]).all()  # compiling weighs more than so few steps
        assert block.training.padded == (len(set(numbers["width"])) > 1)
    assert sorted(np.concatenate([n["width"] for n in program.numbers])) == list(range(1, 101))
    assert "share" in plan.reasons[0]


@pytest.mark.slow
def test_padding_is_weighed_against_compiling():
    """Padding wastes products, so the longer the training, the less padding is worth it."""
    factors = []
    for epochs in (10, 10_000, 10_000_000):
        plan = make_plan(tiny(model=MLP(depth=2), axes=grid(width=range(64, 128)), epochs=epochs))
        factors.append(max(
            block.training.shape.model.width / numbers["width"].min()
            for program in plan.programs
            for block, numbers in zip(program.blocks, program.numbers, strict=True)
        ))  # fmt: skip
        assert all(len(program.blocks) <= MAX_BLOCKS for program in plan.programs)
        assert "with a block for each" in plan.reasons[1]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] > 1.5
    assert factors[-1] == 1


def test_lanes_that_share_a_block_have_their_own_structure_in_it():
    axes = grid(
        width=(8, 9, 10, 11),
        activation=("tanh", "relu", "sine"),
        depth=(1, 2, 3),
        loss_function=("mean_squared", "mean_absolute"),
    )
    experiment = tiny(axes=axes)
    plan, rows = make_plan(experiment), rows_of(experiment)
    assert len(blocks_of(plan)) < 72 / 3
    for program in plan.programs:
        for block, members, numbers in zip(program.blocks, program.members, program.numbers, strict=True):
            shape, names = block.training.shape, block.training.varying.activations
            for at, lane in enumerate(members):
                knobs = dict(rows[lane])
                found = {
                    "width": numbers["width"][at],
                    "depth": numbers["depth"][at] if "depth" in numbers else shape.model.depth,
                    "activation": names[numbers["activation"][at]] if names else shape.model.activation,
                    "loss_function": shape.loss.name,
                }
                assert found == {name: knobs[name] for name in found}
                assert numbers["width"][at] <= shape.model.width
                assert found["depth"] <= shape.model.depth


def test_far_too_many_structures_make_several_programs(monkeypatch):
    monkeypatch.setattr(blocking, "MAX_BLOCKS", 4)
    # 6 structures, whose widths are too far apart to share
    plan = make_plan(tiny(model=MLP(depth=1), axes=grid(width=(4, 40), points=range(20, 23))), memory=2**34)
    assert [len(program.blocks) for program in plan.programs] == [4, 2]
    assert any("programs" in reason for reason in plan.reasons)
    assert MAX_COMPILE_SECONDS > 0


SIZES = st.fixed_dictionaries(
    {
        "seeds": st.integers(1, 90),
        "widths": st.integers(1, 5),
        "devices": st.integers(1, 3),
        "waves": st.integers(1, 7),
        "most_blocks": st.sampled_from((1, 32)),
    }
)


@settings(max_examples=25)
@given(SIZES)
def test_every_lane_is_in_one_wave_and_in_one_seat(sizes):
    axes = grid(seed=range(sizes["seeds"]), width=range(3, 3 + sizes["widths"])) + grid(seed=(1000,), depth=(1,))
    experiment = tiny(axes=axes)
    lanes = len(lay_out(axes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "MAX_BLOCKS", sizes["most_blocks"])
        plan = make_plan(experiment, sizes["devices"], wave_lanes=max(1, -(-lanes // sizes["waves"])))
    order = plan.order()
    assert sorted(order[order >= 0]) == list(range(lanes))
    for wave in plan.waves:
        np.testing.assert_array_equal(order[wave.start : wave.start + len(wave.lanes)], wave.lanes)
    rows = rows_of(experiment)
    for wave in plan.waves:
        program = plan.programs[wave.program]
        assert sorted(np.concatenate(wave.rows)) == list(range(len(wave.lanes)))
        for at, block in enumerate(program.blocks):
            chosen = wave.chosen[at]
            kinds = kinds_of(block, program.numbers[at])[chosen]
            seats = Seats(block, np.arange(len(chosen)), kinds, plan.devices.live())
            np.testing.assert_array_equal(program.members[at][chosen], wave.lanes[wave.rows[at]])
            places = set(zip(seats.tile.tolist(), seats.place.tolist(), strict=True))
            assert len(places) == len(chosen)  # nobody sits on another's lap
            assert all(tile < block.tiles * sizes["devices"] and place < block.tile for tile, place in places)
            for tile in set(seats.tile.tolist()):  # and everybody in a tile that is advanced
                assert tile % block.tiles < seats.live[tile // block.tiles]
                in_tile = chosen[seats.tile == tile]  # and of one tile's lanes one code runs
                assert all(len(set(program.numbers[at][name][in_tile])) == 1 for name in block.training.common)
            for row, member in zip(wave.lanes[wave.rows[at]], chosen, strict=True):
                assert program.numbers[at]["seed"][member] == dict(rows[row])["seed"]


@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 200), st.booleans())
def test_waves_are_whole_chunks(lanes, wave_lanes, several):
    # A wave over several programs' lanes too; the last chunk of a program may have empty places behind it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocking, "MAX_BLOCKS", 1 if several else 32)
        plan = make_plan(tiny(axes=grid(seed=range(lanes), points=(16, 20))), wave_lanes=wave_lanes)
    assert len(plan.programs) == 1 + several
    chunk, taken = plan.chunk_lanes, 0
    for wave in plan.waves:
        assert wave.start % chunk == 0
        assert wave.start >= taken
        taken = -(-(wave.start + len(wave.lanes)) // chunk) * chunk  # of every chunk it touches, all is its own


@settings(max_examples=200)
@given(st.integers(1, 20_000), st.integers(2, 64), st.integers(0, 12))
def test_parts_have_as_many_waves_as_there_can_be_and_about_as_many_lanes_each(lanes, parts, power):
    most = min(2**power, lanes)
    wave = _divide(most, lanes, parts)
    waves = -(-lanes // wave)
    assert 1 <= wave <= most
    assert waves >= min(parts, lanes)
    own = [max(0, min(wave, lanes - wave * number)) for number in range(waves)]
    largest = max(sum(own[part::parts]) for part in range(parts))
    if lanes >= parts**2:  # below that whole lanes are too coarse
        assert (
            largest <= max(1.125 * lanes / parts, lanes / parts + 1) if most == lanes else largest < 2.2 * lanes / parts
        )


def test_waves_for_parts_can_be_halved_and_no_part_gets_lanes_of_another():
    plan = make_plan(tiny(axes=grid(seed=range(1088))), parts=16)
    assert (plan.wave_lanes, plan.chunk_lanes, len(plan.waves)) == (72, 8, 16)
    assert "waves of up to 72 lanes, so that 16 parts share them, take" in " ".join(plan.reasons)
    with pytest.warns(SweepWarning, match="too much: compiling again for waves of 24 lanes instead of 72"):
        smaller = halve(plan, "too much")
    assert {wave.start for wave in plan.waves} <= {wave.start for wave in smaller.waves}
    np.testing.assert_array_equal(smaller.order(), plan.order())
    assert follow_cut(plan, [(0, 24), (72, 144)]).wave_lanes == 24
    assert follow_cut(plan, [(72, 144)]).wave_lanes == 72


def test_waves_of_a_large_sweep_are_stored_in_large_chunks():
    plan = make_plan(tiny(axes=grid(seed=range(5000))), wave_lanes=2048)
    assert plan.chunk_lanes == 1024


def test_a_wave_takes_its_share_of_every_block():
    plan = make_plan(tiny(axes=grid(seed=range(60), width=(3, 4))), wave_lanes=40)
    for wave in plan.waves:
        assert [len(chosen) for chosen in wave.chosen] == [20, 20]


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_a_memory_budget_is_kept(share):
    experiment = tiny(axes=grid(seed=range(1000)), record=Record(at=every(1)))
    whole = make_plan(experiment)
    plan = make_plan(experiment, memory=int(share * whole.wave_bytes))
    assert plan.wave_bytes <= share * whole.wave_bytes
    assert (len(plan.waves) == 1) == (share == 1)
    assert max(len(wave.lanes) for wave in plan.waves) == plan.wave_lanes
    assert any(" of up to " in reason or "one wave takes" in reason for reason in plan.reasons)


def test_waves_are_no_larger_than_is_useful(monkeypatch):
    experiment = tiny(axes=grid(seed=range(20_000)))
    whole = make_plan(experiment)
    assert len(whole.waves) == 1
    monkeypatch.setitem(cost.WAVE_BYTES, "cpu", whole.wave_bytes // 4)
    plan = make_plan(experiment)
    assert plan.wave_lanes == 4096
    assert plan.wave_bytes <= whole.wave_bytes // 4
    assert any("train no faster" in reason for reason in plan.reasons)
    monkeypatch.setitem(cost.WAVE_BYTES, "cpu", 1)
    assert make_plan(experiment).wave_lanes == CHUNK_LANES  # a chunk is never torn for that
    assert len(make_plan(replace(experiment, stop=Halving())).waves) == 20  # lanes compete over several waves


def test_large_waves_are_stored_in_few_chunks():
    plan = make_plan(tiny(axes=grid(seed=range(60_000))))
    assert plan.chunk_lanes == 4096  # a power of two, of which there are between 8 and 16
    again = pack(plan.resolved, devices=plan.devices, fixed=Fixed(8192, 4096))
    assert again.chunk_lanes == 4096
    np.testing.assert_array_equal(again.order()[:60_000], plan.order()[:60_000])  # waves do not change the order


def test_the_estimate_of_memory_covers_what_the_compiler_says_the_program_takes():
    plan = make_plan(tiny(axes=grid(seed=range(256)), model=MLP(width=32, depth=3), record=Record(at=log_spaced(3))))
    with settings_of(plan):
        analysis = training_program(plan.programs[0], plan).memory_analysis()
    taken = (
        analysis.argument_size_in_bytes + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes - analysis.alias_size_in_bytes
    )  # fmt: skip
    working = 2 * 2**20  # a tile's arrays, which do not grow with the wave
    assert taken <= plan.wave_bytes + 2 * working


def test_a_budget_below_the_smallest_wave_is_refused():
    experiment = tiny(axes=grid(seed=range(100), width=(3, 4)))
    with pytest.raises(SweepError) as refused:
        make_plan(experiment, memory=1000)
    told = str(refused.value)
    assert told.startswith("the memory budget of ")
    assert " is too small: the smallest wave takes " in told
    assert told.endswith("give more with --memory")
    assert "\n" not in told


def test_blocks_with_other_batch_sizes_are_recorded_at_the_same_epochs():
    plan = make_plan(tiny(axes=grid(batch_size=(16, 5, 3, 7)), epochs=30, record=Record(at=log_spaced(9))))
    (program,), (steps,) = plan.programs, plan.steps
    per_epoch = [block.training.steps_per_epoch for block in program.blocks]
    assert per_epoch == [1, 4, 6, 3]
    assert steps.shape == (len(plan.epochs), 4)
    np.testing.assert_array_equal(steps, np.round(plan.epochs[:, None] * per_epoch))
    assert (steps[0] == 0).all()
    np.testing.assert_array_equal(steps[-1], np.array(per_epoch) * 30)
    assert (np.diff(steps, axis=0) > 0).all()
    assert plan.epochs[-1] == 30


def test_snapshots_are_spread_over_the_records():
    plan = make_plan(tiny(record=Record(at=every(1), snapshots=4)))
    assert plan.snapshots.tolist() == [0, 4, 8, 12]


def test_lane_steps_count_every_step_of_every_lane():
    plan = make_plan(tiny(axes=grid(seed=(0, 1, 2), batch_size=(16, 5)), epochs=10))
    assert plan.lane_steps() == 3 * 10 * (1 + 4)


def test_a_page_without_axes_has_one_lane():
    plan = make_plan(tiny())
    assert len(plan.lanes) == 1
    assert len(jax.devices()) == 3  # what conftest asked for


def test_zipped_axes_and_tasks_without_x_can_be_planned():
    task = Linear(slopes=(1.0, 2.0), placement="random", points=16)
    plan = make_plan(tiny(task=task, axes=zipped(seed=(0, 1), width=(3, 4)), record=Record()))
    assert [len(members) for members in plan.programs[0].members] == [1, 1]


def test_empty_seats_count_against_the_memory_budget():
    # 8 lanes in 4 blocks are 4 tiles of thousands of seats on an accelerator.
    experiment = tiny(axes=grid(seed=(0, 1), width=range(20, 24)), task=SumOfSines(points=8))
    with pytest.raises(SweepError, match="too small"):
        pack(resolve(experiment), memory=2**26, devices=Devices("gpu", "an accelerator", 1))
    plan = pack(resolve(experiment), memory=2**33, devices=Devices("gpu", "an accelerator", 1))
    held = 0
    for block in blocks_of(plan):
        width = block.training.shape.model.width
        parameters = 2 * width + width * (width + 1) + width + 1
        held += block.tile * block.tiles * parameters * 3 * 4  # with Adam's two moments, in float32
    assert 0.1 * plan.wave_bytes < held < plan.wave_bytes <= 2**33
