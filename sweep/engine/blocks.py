"""Blocks and programs: which lanes share one code, and which blocks are compiled together.

Up to `MAX_BLOCKS` structures each has a block, so that growing a grid changes no lane's block and no bits. More would
take minutes to compile. Then structures that differ only in width, depth or activation may share blocks, in which their
networks are exactly the same: narrower ones are padded, and depth and activation are chosen tile by tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, Final

import numpy as np

from sweep.engine.cost import compile_seconds, step_seconds, tile_size
from sweep.engine.program import Block
from sweep.engine.regression.networks import Varying
from sweep.engine.regression.training import can_vary, training_of
from sweep.engine.training import Training
from sweep.page.axes import Lanes
from sweep.page.resolve import Resolved, Variant, numbers_of, shape_of, with_values
from sweep.page.shape import Shape
from sweep.page.specs.activation import ACTIVATIONS

MAX_BLOCKS: Final = 32
MAX_COMPILE_SECONDS: Final = 30.0
PADDING: Final = (1.0, 1.25, 1.5, 2.0)  # how much wider than a network its block may be; 1 is no padding
SHARED: Final = ((), ("activation",), ("activation", "depth"))  # in what else the lanes of a block may differ
WEIGHED_LANES: Final = 64  # lanes of each structure, on one device, for which choices are weighed. Not the true number:
#                            a lane's bits depend on its block, and must not depend on how many others there are


@dataclass(frozen=True)
class Program:
    """The blocks that are compiled together, and their lanes.

    Args:
        blocks: with space for the largest wave.
        members: for each block the numbers of its lanes in the layout of the sweep.
        numbers: for each block its traced numbers, one array of shape (members,) for each knob.
    """

    blocks: tuple[Block, ...]
    members: tuple[np.ndarray, ...]
    numbers: tuple[dict[str, np.ndarray], ...]


@dataclass(frozen=True)
class _Group:
    """The structures that share a block.

    Args:
        variants: the lanes of each; they differ at most in width, depth and activation of their networks.
    """

    variants: tuple[Variant, ...]

    def values(self, name: str) -> list[Any]:
        """Give a knob of the network for each structure, `None` where it has no such knob."""
        return [getattr(variant.page.model, name, None) for variant in self.variants]

    @cached_property
    def varying(self) -> Varying:
        """In what the structures differ."""
        used = set(self.values("activation"))
        names = tuple(name for name in ACTIVATIONS if name in used) if len(used) > 1 else ()
        return Varying(len(set(self.values("width"))) > 1, len(set(self.values("depth"))) > 1, names)

    @cached_property
    def training(self) -> Training:
        """The training of all, with the largest width and depth."""
        differing = [name for name in ("width", "depth") if getattr(self.varying, name)]
        largest = {name: max(self.values(name)) for name in differing}
        return training_of(with_values(self.variants[0].page, largest), self.varying)

    def numbers(self, lanes: Lanes) -> dict[str, np.ndarray]:
        """Give the traced numbers of all lanes, one structure after another.

        A number that only some activations have is 1 for lanes of others, where it is a factor without effect.
        """
        parts = [_numbers_in(self.varying, variant, lanes) for variant in self.variants]
        names = sorted({name for part in parts for name in part})
        sizes = [len(variant.members) for variant in self.variants]
        return {
            name: np.concatenate([part.get(name, np.ones(size)) for part, size in zip(parts, sizes, strict=True)])
            for name in names
        }

    def expected_seconds(self, platform: str) -> tuple[float, float]:
        """Estimate the seconds of compiling, and of training `WEIGHED_LANES` of each structure on one device."""
        width = {"width": max(self.values("width"))} if self.varying.width else {}
        trainings = [training_of(with_values(variant.page, width)) for variant in self.variants]
        seconds = [step_seconds(each.cost(), platform) * each.steps * WEIGHED_LANES for each in trainings]
        return compile_seconds(self.training.cost()), sum(seconds)


def _numbers_in(varying: Varying, variant: Variant, lanes: Lanes) -> dict[str, np.ndarray]:
    """Give the traced numbers of a structure's lanes in a block, with those that say in what they differ."""
    model, size = variant.page.model, len(variant.members)
    own: dict[str, Any] = {"width": getattr(model, "width", 0)}
    if varying.depth:
        own["depth"] = model.depth  # type: ignore[attr-defined]
    if varying.activations:
        own["activation"] = varying.activations.index(model.activation)  # type: ignore[attr-defined]
    return numbers_of(variant, lanes) | {name: np.full(size, value) for name, value in own.items()}


def make_programs(resolved: Resolved, platform: str, reasons: list[str]) -> list[Program]:
    """Make the blocks of all lanes, with space for one tile each, and distribute them over programs.

    Args:
        resolved: a page and its lanes.
        platform: of the devices, on which the size of tiles depends.
        reasons: the list to which explanations are added.
    """
    return _programs(_choose_groups(resolved.variants, platform, reasons), resolved.lanes, platform, reasons)


def _choose_groups(variants: Sequence[Variant], platform: str, reasons: list[str]) -> list[_Group]:
    """Give each structure a block; if there are too many, let similar ones share blocks where that saves time."""
    if len(variants) <= MAX_BLOCKS:
        reasons.append(f"{len(variants)} structure(s), at most {MAX_BLOCKS}: a block for each, no padding")
        return [_Group((variant,)) for variant in variants]
    choices = {(shared, ratio): _group(variants, shared, ratio) for shared, ratio in product(SHARED, PADDING)}
    seconds = {
        choice: np.sum([group.expected_seconds(platform) for group in groups], axis=0)
        for choice, groups in choices.items()
    }
    best = min(choices, key=lambda choice: float(sum(seconds[choice])))
    none = (SHARED[0], PADDING[0])
    weighed = "; ".join(
        f"{words} {compiling:.0f} s + {training:.0f} s"
        for words, (compiling, training) in (("a block for each", seconds[none]), ("so", seconds[best]))
    )
    reasons.append(f"{len(variants)} structures, more than {MAX_BLOCKS}: {_words(*best, choices[best])}")
    reasons.append(f"weighed for {WEIGHED_LANES} lanes of each structure, compiling + training: {weighed}")
    return choices[best]


def _words(shared: tuple[str, ...], ratio: float, groups: Sequence[_Group]) -> str:
    """Say which structures share blocks."""
    if all(len(group.variants) == 1 for group in groups):
        return "a block for each all the same"
    widths = [f"widths within a factor {ratio:g}"] if ratio > 1 else []
    plural = {"activation": "activations", "depth": "depths"}
    return f"{', '.join([*widths, *(plural[name] for name in shared)])} share {len(groups)} blocks"


def _group(variants: Sequence[Variant], shared: tuple[str, ...], ratio: float) -> list[_Group]:
    """Group structures that differ only in `shared`, and in widths up to `ratio` times smaller than the widest."""
    families: dict[Shape, list[Variant]] = {}
    for variant in variants:
        shape = shape_of(variant.page)
        differing = can_vary(shape) & {"width", *shared}
        family = replace(shape, model=shape.model.without(differing))
        families.setdefault(family, []).append(variant)
    groups = []
    for family in families.values():
        family.sort(key=_width, reverse=True)
        while family:
            together = [variant for variant in family if _width(variant) * ratio >= _width(family[0])]
            groups.append(_Group(tuple(together)))
            family = family[len(together) :]
    return groups


def _width(variant: Variant) -> int:
    return getattr(variant.page.model, "width", 0)


def _programs(groups: Sequence[_Group], lanes: Lanes, platform: str, reasons: list[str]) -> list[Program]:
    """Distribute blocks over programs, within the limits on their number and on compile time."""
    parts: list[list[tuple[Block, np.ndarray, dict[str, np.ndarray]]]] = [[]]
    seconds = 0.0
    for group in groups:
        cost = compile_seconds(group.training.cost())
        if parts[-1] and (len(parts[-1]) >= MAX_BLOCKS or seconds + cost > MAX_COMPILE_SECONDS):
            parts.append([])
            seconds = 0.0
        parts[-1].append(_block(group, lanes, platform))
        seconds += cost
    if len(parts) > 1:
        reasons.append(
            f"{len(groups)} blocks make {len(parts)} programs: one takes at most {MAX_BLOCKS} blocks "
            f"or {MAX_COMPILE_SECONDS:g} s of expected compiling"
        )
    else:
        reasons.append("one program for all blocks")
    return [Program(*(tuple(column) for column in zip(*part, strict=True))) for part in parts]


def _block(group: _Group, lanes: Lanes, platform: str) -> tuple[Block, np.ndarray, dict[str, np.ndarray]]:
    """Make the block of a group, with its lanes in the order of the sweep."""
    members = np.concatenate([variant.members for variant in group.variants])
    inside = np.argsort(members, kind="stable")
    numbers = {name: values[inside] for name, values in group.numbers(lanes).items()}
    return Block(group.training, tile_size(group.training.cost(), platform), 1), members[inside], numbers
