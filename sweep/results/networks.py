"""The trained networks in a store: how their arrays are described, and one lane's read.

`parameters[lane, parameter]` has in each row the entries of a lane's own network, array by array, and then NaN;
`training_state[lane, state_byte]` the bytes of its whole state, and then 0; `network[lane]` says which of the networks
that the attribute `networks` describes a lane has. They are no part of what `open_results` gives.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from sweep.base.trees import Leaf, nest, split
from sweep.results.dataset import LANE


@dataclass(frozen=True)
class Arrays:
    """The arrays of the networks of some lanes.

    Args:
        parameters: of a lane's own network.
        state: of the whole state of its training, as the block that it was trained in has it; empty if it is not kept.
    """

    parameters: tuple[Leaf, ...]
    state: tuple[Leaf, ...] = ()


def encode(networks: Sequence[Arrays]) -> str:
    """Write networks as the text of the attribute `networks`."""
    return json.dumps([{"parameters": _encode(each.parameters), "state": _encode(each.state)} for each in networks])


def _encode(leaves: Sequence[Leaf]) -> list[Any]:
    return [[list(leaf.path), list(leaf.shape), leaf.dtype] for leaf in leaves]


def decode(text: str) -> list[Arrays]:
    """Read the attribute `networks` of a store that has been checked."""
    return [Arrays(_decode(each["parameters"]), _decode(each["state"])) for each in json.loads(text)]


def _decode(leaves: Sequence[Any]) -> tuple[Leaf, ...]:
    return tuple(Leaf(tuple(path), tuple(shape), dtype) for path, shape, dtype in leaves)


def kept(attributes: Mapping[str, Any]) -> Literal["parameters", "state", "nothing"]:
    """Tell what a store keeps of each lane's end: "parameters", "state" or "nothing".

    Args:
        attributes: those of the store.
    """
    if "networks" not in attributes:
        return "nothing"
    return "state" if "training_state" in attributes["arrays"] else "parameters"


def read_parameters(path: Path, attributes: Mapping[str, Any], lane: int) -> tuple[tuple[Leaf, ...], np.ndarray]:
    """Read the network of one lane from a store that has been verified and keeps networks.

    Args:
        path: the store.
        attributes: its attributes.
        lane: the lane's number in the axes.

    Returns:
        The arrays of its own network, and their entries in one row.
    """
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    place, arrays = _find(group, attributes, lane)
    size = sum(leaf.size for leaf in arrays.parameters)
    return arrays.parameters, np.asarray(group["parameters"][place, :size])  # type: ignore[index]


def read_state(path: Path, attributes: Mapping[str, Any], lane: int) -> Any:
    """Read the whole state of one lane at its end, from a store that has been verified and keeps states.

    Args:
        path: the store.
        attributes: its attributes.
        lane: the lane's number in the axes.

    Returns:
        Its arrays, nested by their paths, padded as in the block that the lane was trained in.
    """
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    place, arrays = _find(group, attributes, lane)
    size = sum(leaf.bytes for leaf in arrays.state)
    row = np.asarray(group["training_state"][place, :size])  # type: ignore[index]
    return nest(arrays.state, split(arrays.state, row))


def _find(group: zarr.Group, attributes: Mapping[str, Any], lane: int) -> tuple[int, Arrays]:
    """Find the place of a lane, and the arrays of its network."""
    place = int(np.flatnonzero(np.asarray(group[LANE][:]) == lane)[0])  # type: ignore[index]
    return place, decode(attributes["networks"])[int(group["network"][place])]  # type: ignore[index,call-overload]
