"""What is kept of lanes that have trained: each one's own network, cut out of arrays that may be padded.

Lanes of one block whose networks have the same sizes are one `Network`. What is kept of a lane is a row: the entries of
the arrays of its own network in the order of the pytree, and for `"state"` also the bytes of its whole state, as its
block has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import jax
import numpy as np

from sweep.base.trees import Leaf, count_bytes
from sweep.engine.blocks import Program
from sweep.engine.cost import size_words
from sweep.engine.program import Block, lane_shapes
from sweep.page.resolve import group_rows

Keep = Literal["parameters", "state", "nothing"]
MOST_FIRST: Final[tuple[Keep, ...]] = ("state", "parameters", "nothing")
MOST_BYTES: Final = 2**28  # of all lanes together that are kept if the page does not say


@dataclass(frozen=True)
class Network:
    """Lanes of one block whose networks have the same arrays.

    Args:
        members: their numbers in the layout of the sweep.
        sizes: their values of `Training.sizing`.
        parameters: the arrays of a lane's own network; whole numbers among them are kept in the precision of the page.
        state: the arrays of a lane's whole state, as its block has it.
    """

    members: np.ndarray
    sizes: Mapping[str, Any]
    parameters: tuple[Leaf, ...]
    state: tuple[Leaf, ...]

    def bytes_a_lane(self, keep: Keep) -> int:
        """Count the bytes that are kept of one lane."""
        return {
            "nothing": 0,
            "parameters": count_bytes(self.parameters),
            "state": count_bytes(self.parameters) + count_bytes(self.state),
        }[keep]


def networks_of(programs: Sequence[Program]) -> tuple[Network, ...]:
    """List the networks of all blocks; within the settings of their plan."""
    return tuple(
        network
        for program in programs
        for block, members, numbers in zip(program.blocks, program.members, program.numbers, strict=True)
        for network in _networks(block, members, numbers)
    )


def _networks(block: Block, members: np.ndarray, numbers: Mapping[str, np.ndarray]) -> Iterator[Network]:
    state = lane_shapes(block, tuple(numbers))[0].lanes.state
    padded = jax.eval_shape(block.training.parameters, state)
    stand_ins = jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), padded)
    for chosen, sizes in groups(block, numbers, len(members)):
        own = leaves_of(block.training.own(stand_ins, sizes))
        kept = tuple(replace(leaf, dtype=block.training.precision) for leaf in own)
        yield Network(members[chosen], sizes, kept, leaves_of(state))


def groups(block: Block, numbers: Mapping[str, np.ndarray], count: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Group lanes of a block by the sizes of their networks.

    Args:
        block: the block.
        numbers: its traced numbers, of some of its lanes.
        count: the number of these lanes.

    Yields:
        The places of the lanes of one size, and their values of `Training.sizing`.
    """
    names = block.training.sizing
    group, rows = group_rows([numbers[name] for name in names], count)
    for number, row in enumerate(rows):
        yield np.flatnonzero(group == number), dict(zip(names, row, strict=True))


def leaves_of(tree: Any) -> tuple[Leaf, ...]:
    """List the arrays of a pytree, which may be described only."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return tuple(Leaf(tuple(map(_key, path)), tuple(leaf.shape), np.dtype(leaf.dtype).name) for path, leaf in found)


def _key(entry: Any) -> str | int:
    """Give a key of a path: the number of an entry of a list, otherwise the name of a field or an entry."""
    if isinstance(entry, jax.tree_util.SequenceKey):
        return entry.idx
    return str(getattr(entry, "name", getattr(entry, "key", entry)))


def choose(wanted: Keep | None, networks: Sequence[Network]) -> Keep:
    """Choose what is kept.

    Args:
        wanted: what the page says; None for the states if those of all lanes are not too large, otherwise the
            parameters if these are not, otherwise nothing.
        networks: of all lanes.
    """
    if wanted is None:
        small: list[Keep] = [keep for keep in MOST_FIRST if kept_bytes(keep, networks) <= MOST_BYTES]
        wanted = small[0]
    # A module without parameters has nothing that could be kept.
    return wanted if any(network.parameters for network in networks) else "nothing"


def least(*keeps: Keep) -> Keep:
    """Give what all of several stores keep."""
    return max(keeps, key=MOST_FIRST.index)


def kept_bytes(keep: Keep, networks: Sequence[Network]) -> int:
    """Count the bytes that are kept of all lanes."""
    return sum(network.bytes_a_lane(keep) * len(network.members) for network in networks)


def explain(wanted: Keep | None, keep: Keep, networks: Sequence[Network]) -> str:
    """Say in one line what is kept and how large it is, for `--plan`.

    Args:
        wanted: what the page says.
        keep: what `choose` has chosen.
        networks: of all lanes.
    """
    if keep != "nothing":
        what = "networks and the states of their training" if keep == "state" else "networks"
        return f"keeps the trained {what}: {size_words(kept_bytes(keep, networks))}"
    size = kept_bytes("parameters", networks)
    if wanted == "nothing" or not size:
        return f"does not keep the trained networks, {'as the page says' if size else 'which have no parameters'}"
    return (
        f"does not keep the trained networks: {size_words(size)}, over {size_words(MOST_BYTES)}; "
        f"set Record(keep='parameters')"
    )


def part_of(block: Block, keep: Keep, state: Any) -> Any:
    """Give the part of states from which `parameter_rows` and `state_rows` are made."""
    return state if keep == "state" else block.training.parameters(state)


def parameter_rows(block: Block, parameters: Any, sizes: Mapping[str, Any]) -> np.ndarray:
    """Cut the networks of lanes of one size out of their blocks' arrays.

    Args:
        block: their block.
        parameters: a pytree of arrays, lanes first.
        sizes: their values of `Training.sizing`.

    Returns:
        One row for each lane: the entries of its own network.
    """
    leaves = jax.tree.leaves(parameters)
    flat = np.concatenate([leaf.reshape(len(leaf), -1).astype(block.training.precision) for leaf in leaves], axis=1)
    return flat if not sizes else flat[:, _places(block, parameters, sizes)]


def state_rows(state: Any) -> np.ndarray:
    """Give the bytes of whole states, one row for each lane.

    Args:
        state: a pytree of arrays, lanes first.
    """
    leaves = [np.ascontiguousarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(state)]
    return np.concatenate([leaf.view(np.uint8) for leaf in leaves], axis=1)


def states_of_rows(block: Block, names: tuple[str, ...], rows: np.ndarray) -> list[np.ndarray]:
    """Make the arrays of whole states from their bytes: the inverse of `state_rows`; within the settings of the plan.

    Args:
        block: the block of the lanes.
        names: the names of its traced numbers.
        rows: of shape (lanes, bytes), possibly longer than a state.

    Returns:
        The leaves of the pytree, lanes first.
    """
    found, start = [], 0
    for leaf in leaves_of(lane_shapes(block, names)[0].lanes.state):
        part = np.ascontiguousarray(rows[:, start : start + leaf.bytes])
        found.append(part.view(leaf.dtype).reshape(len(rows), *leaf.shape))
        start += leaf.bytes
    return found


def pad(block: Block, template: Any, row: np.ndarray, sizes: Mapping[str, Any]) -> Any:
    """Put a lane's own network back into the arrays of its block; dead entries are 0.

    Args:
        block: the block.
        template: the parameters of any lane of the block.
        row: the entries of the lane's own network.
        sizes: the lane's values of `Training.sizing`.
    """
    leaves, structure = jax.tree.flatten(template)
    flat = np.zeros(sum(leaf.size for leaf in leaves), row.dtype)
    lanes = jax.tree.unflatten(structure, [np.asarray(leaf)[None] for leaf in leaves])
    flat[_places(block, lanes, sizes) if sizes else slice(None)] = row
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = [
        part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(np.split(flat, ends), leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


def _places(block: Block, parameters: Any, sizes: Mapping[str, Any]) -> np.ndarray:
    """Give the places of a lane's own entries among all entries of its block's arrays."""
    leaves, structure = jax.tree.flatten(parameters)
    ends = np.cumsum([leaf[0].size for leaf in leaves])
    numbered = [
        np.arange(end - leaf[0].size, end).reshape(leaf.shape[1:]) for end, leaf in zip(ends, leaves, strict=True)
    ]
    own = block.training.own(jax.tree.unflatten(structure, numbered), sizes)
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(own)])


@dataclass
class Finals:
    """What is kept of lanes of a block that have ended: copied as they end, since then they leave the devices.

    Args:
        lanes: their numbers among the block's lanes in the wave.
        leaves: the arrays that `part_of` gives, lanes first.
    """

    lanes: np.ndarray
    leaves: list[np.ndarray]

    @classmethod
    def none(cls) -> "Finals":
        """Give those of no lanes."""
        return cls(np.empty(0, np.int64), [])

    def add(self, lanes: np.ndarray, leaves: Sequence[np.ndarray]) -> None:
        """Add lanes that have just ended."""
        old = self.leaves or [leaf[:0] for leaf in leaves]
        self.lanes = np.concatenate([self.lanes, lanes])
        self.leaves = [np.concatenate(pair) for pair in zip(old, leaves, strict=True)]

    def with_seated(self, lanes: np.ndarray, seated: Any, count: int) -> Any:
        """Give what is kept of all lanes of the block.

        Args:
            lanes: the lanes that are on the devices; those among them that had ended before count as they were then.
            seated: what `part_of` gives of these, lanes first.
            count: the number of the block's lanes in the wave.
        """
        leaves, structure = jax.tree.flatten(seated)
        full = [np.empty((count, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
        for values, leaf in zip(full, leaves, strict=True):
            values[lanes] = leaf
        for values, leaf in zip(full, self.leaves, strict=False):
            values[self.lanes] = leaf
        return jax.tree.unflatten(structure, full)
