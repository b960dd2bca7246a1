"""The number of compilations: one training program per sweep, which could also run on an accelerator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from helpers import lives, make_plan, tiny, walk_waves

from sweep import run_sweep
from sweep.axes import grid, zipped
from sweep.engine import program as programs
from sweep.engine import walk
from sweep.engine.cost import tile_size
from sweep.engine.prepare import prepare
from sweep.engine.program import Block
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.optimizer import OPTIMIZERS
from sweep.specs import MLP, Linear, Optimizer, Record, SumOfSines, linear_spaced

BACKEND = "/jax/core/compile/backend_compile_duration"
TRAINING = "jit(train)"  # what JAX calls the program that `program.program` makes


@contextmanager
def counted() -> Iterator[list[str]]:
    """List the functions that the backend compiles within the block."""
    compiled: list[str] = []

    def listen(event: str, duration: float, **about: Any) -> None:
        if event == BACKEND:
            compiled.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def fresh(**changes: Any) -> Any:
    """Make an experiment of two blocks whose Shapes no other test file has."""
    settings = {"model": MLP(width=3, depth=1), "loss": "mean_absolute", "axes": grid(seed=range(40), width=(3, 5))}
    return tiny(**(settings | changes))


@pytest.mark.core
def test_a_sweep_compiles_one_training_program_and_a_second_call_none():
    programs.compile_training.cache_clear()
    experiment = fresh()
    with counted() as first:
        run_sweep(experiment)
    assert first.count(TRAINING) == 1
    with counted() as second:
        run_sweep(experiment)
    assert TRAINING not in second
    assert "jit(begin)" not in second


def test_waves_share_a_program_and_a_longer_sweep_needs_no_other():
    programs.compile_training.cache_clear()
    plan = make_plan(fresh(), wave_lanes=32)
    assert (len(plan.waves), len(plan.programs), len(plan.programs[0].blocks)) == (3, 1, 2)
    with counted() as first:
        lives(plan)
    assert first.count(TRAINING) == 1
    longer = make_plan(fresh(axes=grid(seed=range(100), width=(3, 5))), wave_lanes=32)
    assert len(longer.waves) == 7
    with counted() as more:
        lives(longer)
    assert TRAINING not in more


def test_resuming_and_other_segments_compile_nothing(monkeypatch):
    plan = make_plan(fresh(), wave_lanes=32)  # whose program the test above has compiled
    prepare(plan)
    monkeypatch.setattr(walk, "SEGMENT_SECONDS", 1e-12)
    with counted() as compiled:
        for piece in walk_waves(plan):
            if piece.record == 1:
                saved = piece.position()
                break
        lives(plan, resume=saved)
    assert TRAINING not in compiled
    assert "jit(begin)" not in compiled


def test_other_numbers_need_no_other_program():
    tame = make_plan(fresh(), wave_lanes=32)
    prepare(tame)
    other = fresh(
        axes=grid(seed=range(100, 140), width=(3, 5)), seed=9, data_seed=3, optimizer=Optimizer(learning_rate=0.3)
    )
    with counted() as compiled:
        lives(make_plan(replace(other, task=replace(other.task, noise=0.4)), wave_lanes=32))
    assert TRAINING not in compiled


def arguments(blocks: tuple[Block, ...], names: list[tuple[str, ...]]) -> tuple[Any, ...]:
    """Describe what the training program is called with."""
    devices = tuple(jax.devices()[:1])
    arrays = [programs.array_shapes(block, devices, own) for block, own in zip(blocks, names, strict=True)]
    counts = jax.ShapeDtypeStruct((len(blocks),), np.int32)
    live = jax.ShapeDtypeStruct((1, len(blocks)), np.int32, sharding=programs.sharding(devices))
    flag = jax.ShapeDtypeStruct((), np.bool_)
    lanes, data, numbers, _ = zip(*arrays, strict=True)
    return list(lanes), list(data), list(numbers), [], counts, counts, live, flag


# Those that do more than arithmetic on each entry, and one that does not.
QUICK = ("adam", "lamb", "muon", "schedule_free_adamw", "sam", "lbfgs")


def everything(optimizers: Sequence[str] = QUICK) -> list[Any]:
    """Make experiments that together use every part that could depend on a CPU."""
    activations = list(ACTIVATIONS)
    pairs = range(max(len(activations), len(optimizers)))
    both = zipped(
        activation=[activations[at % len(activations)] for at in pairs],
        optimizer=[optimizers[at % len(optimizers)] for at in pairs],
    )
    record = Record(at=linear_spaced(2))
    sines = SumOfSines(frequencies=(1, 2.5), points=64, noise=0.1)
    small = MLP(width=8, depth=1)
    return [
        tiny(task=sines, model=small, axes=both, batch_size=10, optimizer=Optimizer()),
        tiny(task=sines, model=small, record=record),
        tiny(task=replace(sines, placement="random"), model=small, record=record),  # with its pseudo-inverse
        tiny(task=Linear(slopes=(1.0, 2.0), placement="random"), model=MLP(depth=0), record=record),
    ]


@pytest.mark.parametrize(
    ("platform", "optimizers"),
    [
        ("cuda", QUICK),
        pytest.param("cuda", tuple(OPTIMIZERS), marks=pytest.mark.slow),
        pytest.param("tpu", tuple(OPTIMIZERS), marks=pytest.mark.slow),
    ],
    ids=["cuda", "cuda, all", "tpu, all"],
)
def test_the_training_program_of_large_tiles_can_be_lowered_for_an_accelerator(platform, optimizers):
    blocks, names = [], []
    for experiment in everything(optimizers):
        for program in make_plan(experiment).programs:
            for block, numbers in zip(program.blocks, program.numbers, strict=True):
                tile = tile_size(block.training.cost(), {"cuda": "gpu"}.get(platform, platform))
                assert tile >= 1024
                blocks.append(replace(block, tile=tile, tiles=2))
                names.append(tuple(numbers))
    devices = tuple(jax.devices()[:1])
    exported = jax.export.export(programs.program(tuple(blocks), devices), platforms=[platform])(
        *arguments(tuple(blocks), names)
    )
    assert exported.platforms == (platform,)
    assert "callback" not in exported.mlir_module()  # nothing calls back into Python


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lanes_can_begin_on_an_accelerator(platform):
    experiment = everything()[2]
    (program,) = make_plan(experiment).programs
    block = replace(program.blocks[0], tile=4096, tiles=1)
    devices = tuple(jax.devices()[:1])
    numbers = programs.array_shapes(block, devices, tuple(program.numbers[0])).numbers
    exported = jax.export.export(programs.beginning(block, devices), platforms=[platform])(numbers, ())
    assert exported.platforms == (platform,)
    shapes = jax.eval_shape(jax.vmap(jax.vmap(partial(programs.begin, block))), numbers)
    assert len(exported.out_avals) == len(jax.tree.leaves(shapes))
