"""What `sweep` hands over to its peers: data and initial weights as plain arrays, in one .npz file."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Trees = dict[str, dict[str, np.ndarray]]  # {"layer_0": {"kernel": (lanes, in, out), "bias": (lanes, out)}, ...}


@dataclass(frozen=True)
class Group:
    """The lanes of one width.

    Args:
        width: neurons of each hidden layer.
        trees: initial parameters.
        target: training targets, (lanes, points).
        orders: the order of the points in the first epochs, (lanes, epochs, points); None for full batch.
    """

    width: int
    trees: Trees
    target: np.ndarray
    orders: np.ndarray | None

    def part(self, start: int, stop: int) -> "Group":
        """Select a range of lanes."""
        trees = {name: {leaf: array[start:stop] for leaf, array in tree.items()} for name, tree in self.trees.items()}
        orders = None if self.orders is None else self.orders[start:stop]
        return Group(self.width, trees, self.target[start:stop], orders)


@dataclass(frozen=True)
class Handover:
    """The lanes of one case.

    Args:
        inputs: inputs of the networks, the same for all lanes: (points, 1).
        groups: one for each width.
    """

    inputs: np.ndarray
    groups: tuple[Group, ...]

    def save(self, path: Path) -> None:
        """Write the arrays to a file."""
        arrays = {"inputs": self.inputs}
        for group in self.groups:
            arrays[f"{group.width}/target"] = group.target
            if group.orders is not None:
                arrays[f"{group.width}/orders"] = group.orders
            for name, tree in group.trees.items():
                arrays |= {f"{group.width}/{name}/{leaf}": array for leaf, array in tree.items()}
        np.savez(path, allow_pickle=False, **arrays)


def load(path: Path, widths: tuple[int, ...]) -> Handover:
    """Read what `Handover.save` wrote."""
    with np.load(path) as file:
        arrays = dict(file)
    groups = []
    for width in widths:
        trees: Trees = defaultdict(dict)
        for key, array in arrays.items():
            if key.startswith(f"{width}/layer_"):
                _, name, leaf = key.split("/")
                trees[name][leaf] = array
        groups.append(Group(width, dict(trees), arrays[f"{width}/target"], arrays.get(f"{width}/orders")))
    return Handover(arrays["inputs"], tuple(groups))
