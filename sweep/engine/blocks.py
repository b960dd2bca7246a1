"""Blocks and programs: which lanes share one code, and which blocks are compiled together.

Up to `MAX_BLOCKS` structures each has a block, so that growing a grid changes no lane's block and no bits. More would
take minutes to compile. Then structures that differ only in width, depth or activation may share blocks, in which their
networks are exactly the same: narrower ones are padded, and depth and activation are chosen tile by tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, Final

import numpy as np

from sweep.engine.cost import compile_seconds, step_seconds, tile_size
from sweep.engine.page_training import PageTraining
from sweep.engine.program import Block
from sweep.engine.regression.networks import UNIFORM, Varying
from sweep.engine.regression.training import Regression, can_vary
from sweep.engine.training import Cost, Training
from sweep.page.axes import Lanes
from sweep.page.resolve import Resolved, Variant, numbers_of, shape_of
from sweep.page.shape import Shape
from sweep.page.specs.activation import ACTIVATIONS

MAX_BLOCKS: Final = 32
MAX_COMPILE_SECONDS: Final = 80.0
# These, like the rates in `cost`, decide which structures share a block, and so its lanes' bits.
PADDING: Final = (1.0, 1.25, 1.5, 2.0)  # how much wider than a network its block may be; 1 is no padding
SHARED: Final = ((), ("activation",), ("activation", "depth"))  # in what else the lanes of a block may differ
AN_ACTIVATION: Final = 0.2  # how much longer compiling a block takes for each activation beyond the first,
SEVERAL_DEPTHS: Final = 0.6  # and for depths that vary
WEIGHED_LANES: Final = 8  # lanes of each structure, on one device, for which choices are weighed. Not the true number:
#                           a lane's bits depend on its block, and must not depend on how many others there are. Few, as
#                           with more lanes padding costs at most half of the training, with fewer compiling is all


@dataclass(frozen=True)
class Program:
    """The blocks that are compiled together, and their lanes.

    Args:
        blocks: with space for the largest wave.
        members: for each block the numbers of its lanes in the layout of the sweep.
        numbers: for each block its traced numbers, one array of shape (members,) for each knob.
        shares: for each block, which part of its largest network's step its lanes compute on average.
    """

    blocks: tuple[Block, ...]
    members: tuple[np.ndarray, ...]
    numbers: tuple[dict[str, np.ndarray], ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class _Structure:
    """The lanes of one structure.

    Args:
        variant: their page and their numbers in the layout of the sweep.
        shape: what decides their code.
    """

    variant: Variant
    shape: Shape

    @property
    def width(self) -> int:
        """Neurons of each hidden layer; 0 of a network without this knob."""
        return getattr(self.shape.model, "width", 0)

    def numbers(self, varying: Varying, lanes: Lanes) -> dict[str, np.ndarray]:
        """Give the lanes' traced numbers, with those that say in what they differ from others of their block."""
        model = self.shape.model
        own: dict[str, Any] = {} if self.shape.training else {"width": self.width}
        if varying.depth:
            own["depth"] = model.depth  # type: ignore[attr-defined]
        if varying.activations:
            own["activation"] = varying.activations.index(model.activation)  # type: ignore[attr-defined]
        size = len(self.variant.members)
        return numbers_of(self.variant, lanes) | {name: np.full(size, value) for name, value in own.items()}


@dataclass(frozen=True)
class _Group:
    """The structures that share a block.

    Args:
        structures: they differ at most in width, depth and activation of their networks.
    """

    structures: tuple[_Structure, ...]

    def values(self, name: str) -> list[Any]:
        """Give a knob of the network for each structure, `None` where it has no such knob."""
        return [getattr(each.shape.model, name, None) for each in self.structures]

    @cached_property
    def varying(self) -> Varying:
        """In what the structures differ."""
        used = set(self.values("activation"))
        names = tuple(name for name in ACTIVATIONS if name in used) if len(used) > 1 else ()
        return Varying(len(set(self.values("width"))) > 1, len(set(self.values("depth"))) > 1, names)

    @cached_property
    def training(self) -> Training:
        """The training of all, with the largest width and depth; where activations vary its own has no meaning."""
        sizes = {name: max(self.values(name)) for name in ("width", "depth") if getattr(self.varying, name)}
        shape = self.structures[0].shape
        return training_of(replace(shape, model=replace(shape.model, **sizes)) if sizes else shape, self.varying)

    def numbers(self, lanes: Lanes) -> dict[str, np.ndarray]:
        """Give the traced numbers of all lanes, one structure after another.

        A number that only some activations have is 1 for lanes of others, where it is a factor without effect.
        """
        parts = [each.numbers(self.varying, lanes) for each in self.structures]
        names = sorted({name for part in parts for name in part})
        return {name: np.concatenate([part.get(name, np.ones(len(part["seed"]))) for part in parts]) for name in names}

    def step_seconds(self, platform: str) -> list[float]:
        """Estimate for each structure the time of a step, as wide as the block and as deep as it is."""
        width = max(each.width for each in self.structures)
        return [step_seconds(_cost(each.shape, width), platform) for each in self.structures]

    def share(self, platform: str) -> float:
        """Estimate which part of the largest network's step a lane computes on average."""
        largest = step_seconds(self.training.cost(), platform)
        sizes = [len(each.variant.members) for each in self.structures]
        return float(np.average(self.step_seconds(platform), weights=sizes)) / largest

    def compile_seconds(self) -> float:
        """Estimate the seconds of compiling."""
        more = AN_ACTIVATION * max(0, len(self.varying.activations) - 1) + SEVERAL_DEPTHS * self.varying.depth
        return compile_seconds(self.training.cost()) * (1 + more)

    def training_seconds(self, platform: str) -> float:
        """Estimate the seconds of training `WEIGHED_LANES` of each structure on one device."""
        return self.training.steps * WEIGHED_LANES * sum(self.step_seconds(platform))


def training_of(shape: Shape, varying: Varying = UNIFORM) -> Training:
    """Return the training of the lanes of a Shape.

    Args:
        shape: what decides their code; where lanes vary, with the largest network.
        varying: in what lanes differ beyond their numbers.
    """
    return PageTraining(shape) if shape.training else Regression(shape, varying)


@lru_cache(maxsize=2**16)
def _cost(shape: Shape, width: int) -> Cost:
    """Give the cost of a lane of a Shape in a block of a width."""
    own = getattr(shape.model, "width", width)
    return training_of(shape if own == width else replace(shape, model=replace(shape.model, width=width))).cost()


def make_programs(resolved: Resolved, platform: str, reasons: list[str]) -> list[Program]:
    """Make the blocks of all lanes, with space for one tile each, and distribute them over programs.

    Args:
        resolved: a page and its lanes.
        platform: of the devices, on which the size of tiles depends.
        reasons: the list to which explanations are added.
    """
    structures = [_Structure(variant, shape_of(variant.page)) for variant in resolved.variants]
    return _programs(_choose_groups(structures, platform, reasons), resolved.lanes, platform, reasons)


def _choose_groups(structures: Sequence[_Structure], platform: str, reasons: list[str]) -> list[_Group]:
    """Give each structure a block; if there are too many, let similar ones share blocks where that saves time."""
    if len(structures) <= MAX_BLOCKS:
        reasons.append(f"{len(structures)} structure(s), at most {MAX_BLOCKS}: a block for each, no padding")
        return [_Group((each,)) for each in structures]
    choices = {(shared, ratio): _group(structures, shared, ratio) for shared, ratio in product(SHARED, PADDING)}
    seconds = {
        choice: (
            sum(group.compile_seconds() for group in groups),
            sum(group.training_seconds(platform) for group in groups),
        )
        for choice, groups in choices.items()
    }
    best = min(choices, key=lambda choice: sum(seconds[choice]))
    apart, together = (sum(seconds[choice]) for choice in ((SHARED[0], PADDING[0]), best))
    reasons.append(f"{len(structures)} structures, more than {MAX_BLOCKS}: {_words(*best, choices[best])}")
    reasons.append(
        f"weighed roughly, for {WEIGHED_LANES} lanes of each structure on one device: {together:.0f} s instead "
        f"of {apart:.0f} s with a block for each"
    )
    return choices[best]


def _words(shared: tuple[str, ...], ratio: float, groups: Sequence[_Group]) -> str:
    """Say which structures share blocks."""
    if all(len(group.structures) == 1 for group in groups):
        return "a block for each all the same"
    widths = [f"widths within a factor {ratio:g}"] if ratio > 1 else []
    plural = {"activation": "activations", "depth": "depths"}
    alike = " and ".join([*widths, *(plural[name] for name in shared)])
    return f"{alike} share blocks, of which there are {len(groups)}"


def _group(structures: Sequence[_Structure], shared: tuple[str, ...], ratio: float) -> list[_Group]:
    """Group structures that differ only in `shared`, and in widths up to `ratio` times smaller than the widest."""
    families: dict[Shape, list[_Structure]] = {}
    for each in structures:
        differing = can_vary(each.shape) & {"width", *shared}
        families.setdefault(replace(each.shape, model=each.shape.model.without(differing)), []).append(each)
    groups = []
    for family in families.values():
        family.sort(key=lambda each: each.width, reverse=True)
        while family:
            together = [each for each in family if each.width * ratio >= family[0].width]
            groups.append(_Group(tuple(together)))
            family = family[len(together) :]
    return groups


def _programs(groups: Sequence[_Group], lanes: Lanes, platform: str, reasons: list[str]) -> list[Program]:
    """Distribute blocks over programs, within the limits on their number and on compile time."""
    parts: list[list[tuple[Block, np.ndarray, dict[str, np.ndarray], float]]] = [[]]
    seconds = 0.0
    for group in groups:
        cost = group.compile_seconds()
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


def _block(group: _Group, lanes: Lanes, platform: str) -> tuple[Block, np.ndarray, dict[str, np.ndarray], float]:
    """Make the block of a group, with its lanes in the order of the sweep."""
    members = np.concatenate([each.variant.members for each in group.structures])
    inside = np.argsort(members, kind="stable")
    numbers = {name: values[inside] for name, values in group.numbers(lanes).items()}
    block = Block(group.training, tile_size(group.training.cost(), platform), 1)
    return block, members[inside], numbers, group.share(platform)
