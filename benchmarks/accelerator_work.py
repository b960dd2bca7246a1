"""The work of `benchmarks.accelerator`, in plain numbers: what is measured, how large, and for how long at most."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Final

import numpy as np

from benchmarks.cases import CHECK_STEPS, Case

PLANNED: Final = "plan"  # the name of the tile that the plan chooses
# Autotuning times kernels and takes the fastest, which may be another one in the next process, with other bits. All of
# jax 0.10 to 0.12 know these flags of XLA.
FIXED: Final = "--xla_gpu_exclude_nondeterministic_ops=true --xla_gpu_autotune_level=0"
AGREEMENT: Final = 1e-3  # of a loss, between sides, after `CHECK_STEPS` steps
DIFFER: Final = "its losses differ from those of sweep"
# Rough figures of a data-centre card, from which each cell gets a number of steps, the same on every card.
_FLOPS: Final = 1.5e13
_SHORTEST_STEP: Final = 1e-4  # seconds: some tens of kernels
_RUN_SECONDS: Final = 0.5  # of one timed run of `sweep`
_MOST_STEPS: Final = 4096


@dataclass(frozen=True)
class Size:
    """How large the measurements are.

    Args:
        widths: neurons of a hidden layer, by the name of the network; several are trained together.
        lanes: lanes of a cell, all widths together; the most telling come first.
        repeats: how often each side is timed, at most.
        timing_seconds: no repeat of a cell begins after these.
        loop_lanes: lanes that the Python loop trains, in cells of the fewest lanes.
        steps: optimiser steps of each cell; None gives each cell about half a second.
        tiles: sizes of tiles that are tried beside the plan's, the most telling first.
        tile_lanes: lanes with which they are tried.
        profiled: name of the cell of which a segment is profiled.
        product: rows of the product that measures the limit.
        lengths: numbers of an array that measures activations and memory; the best one counts.
        crowd: lanes of the sweep that runs out of memory.
        replayed: lanes that are trained again.
        seconds: the most that each part takes.
        item_seconds: the most that one cell, or one check, takes.
        tests: where the tests are that run.
    """

    widths: dict[str, tuple[int, ...]]
    lanes: tuple[int, ...]
    repeats: int
    timing_seconds: float
    loop_lanes: int
    steps: int | None
    tiles: tuple[int, ...]
    tile_lanes: int
    profiled: str
    product: int
    lengths: tuple[int, ...]
    crowd: int
    replayed: int
    seconds: dict[str, float]
    item_seconds: float
    tests: tuple[str, ...]


FULL: Final = Size(
    widths={"width16": (16,), "width64": (64,), "width128": (128,), "mixed": (16, 32, 64, 128)},
    lanes=(1024, 8192, 128, 65_536), repeats=3, timing_seconds=6, loop_lanes=4, steps=None,
    tiles=(1024, 256, 4096, 64, 8192), tile_lanes=8192, profiled="width64/1024",
    product=8192, lengths=(2**21, 2**23, 2**25, 2**27), crowd=8192, replayed=3,
    seconds={
        "limits": 20, "checks": 95, "cells": 150, "torch": 40, "tiles": 65, "profile": 20, "tests": 80,
    },
    item_seconds=45, tests=("tests/engine", "tests/runs"),
)  # fmt: skip
SMALL: Final = Size(
    widths={"width4": (4,), "mixed": (4, 8)}, lanes=(32, 64), repeats=2, timing_seconds=600, loop_lanes=2,
    steps=CHECK_STEPS,
    tiles=(8, 16, 64), tile_lanes=64, profiled="width4/64",
    product=128, lengths=(2**12, 2**14), crowd=2048, replayed=2,
    seconds=dict.fromkeys(FULL.seconds, 600.0), item_seconds=300, tests=("tests/engine/test_optimizers.py",),
)  # fmt: skip
SIZES: Final = {"full": FULL, "small": SMALL}


def cells(size: Size) -> dict[str, Case]:
    """List the cells in the order in which they are measured, by name: "width16/1024"."""
    return {
        f"{name}/{lanes}": Case(
            f"{name}/{lanes}", f"{name}, {lanes:,} lanes", widths, lanes // len(widths),
            size.steps or _steps(widths, lanes),
        )
        for lanes in size.lanes
        for name, widths in size.widths.items()
    }  # fmt: skip


def network_of(case: Case) -> str:
    """Return the name of a cell's network: "width16"."""
    return case.name.split("/")[0]


def largest_difference(theirs: Sequence[Any], ours: Sequence[Any]) -> float:
    """Return the largest relative difference of losses, width by width, of as many first lanes as both have."""
    return max(
        float(np.max(np.abs(np.divide(a[: len(b)], b[: len(a)]) - 1.0))) for a, b in zip(theirs, ours, strict=True)
    )


def check_lanes(size: Size) -> int:
    """Return the number of lanes, all widths together, whose losses are compared between sides."""
    return min(size.lanes)


def tile_names(size: Size) -> list[str]:
    """List what is tried: the plan's tile with each width, "width16/plan", and each size, "width16/1024".

    Mixed widths are blocks of these.
    """
    single = [name for name, widths in size.widths.items() if len(widths) == 1]
    return [f"{name}/{tile}" for tile in (PLANNED, *size.tiles) for name in single]


def tile_case(size: Size, network: str) -> Case:
    """Return the case with which sizes of tiles are tried."""
    widths, lanes = size.widths[network], size.tile_lanes
    return Case(f"{network}/tiles", "", widths, lanes // len(widths), size.steps or _steps(widths, lanes))


def _steps(widths: tuple[int, ...], lanes: int) -> int:
    """Choose a power of two of steps that takes about half a second, and is enough for the comparison of losses."""
    case = Case("", "", widths, 1, 1)
    flops = sum(6 * case.points * inputs * outputs for width in widths for inputs, outputs in case.layers(width))
    step_seconds = max(_SHORTEST_STEP, flops * (lanes / len(widths)) / _FLOPS)
    return int(min(_MOST_STEPS, max(32, 2 ** round(log2(_RUN_SECONDS / step_seconds)))))
