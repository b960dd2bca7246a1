"""Pytrees as plain data come back from their paths and rows."""

import numpy as np
import pytest

from sweep.base.trees import Leaf, count_bytes, count_entries, nest, split

TREES = [
    {"layer_0": {"bias": np.arange(2.0), "kernel": np.arange(6.0).reshape(3, 2)}, "scale": np.array(7.0)},
    {"parts": [np.arange(3), {"b": np.zeros((0, 4), np.float32)}], "step": np.array(5, np.int32)},
    [np.arange(2), np.arange(3)],
    np.arange(4.0),
    {},
]


def listed(tree, path=()):
    if isinstance(tree, np.ndarray):
        return [(Leaf(path, tree.shape, tree.dtype.name), tree)]
    items = sorted(tree.items()) if isinstance(tree, dict) else enumerate(tree)
    return [each for key, inner in items for each in listed(inner, (*path, key))]


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    keys = one.keys() if isinstance(one, dict) else range(len(one))
    return type(one) is type(other) and len(one) == len(other) and all(same(one[key], other[key]) for key in keys)


@pytest.mark.parametrize("tree", TREES, ids=range(len(TREES)))
def test_a_tree_comes_back_from_the_bytes_of_its_arrays(tree) -> None:
    pairs = listed(tree)
    leaves = [leaf for leaf, _ in pairs]
    row = np.frombuffer(b"".join(array.tobytes() for _, array in pairs) + b"more", np.uint8)
    assert count_bytes(leaves) == len(row) - 4
    assert same(nest(leaves, split(leaves, row)), tree)


def test_a_row_of_numbers_is_cut_in_order_and_what_follows_is_left_out() -> None:
    leaves = [Leaf(("a",), (2,), "float32"), Leaf(("b", "c"), (2, 2), "float32")]
    a, b = split(leaves, np.arange(8, dtype=np.float32))
    assert a.tolist() == [0, 1]
    assert b.tolist() == [[2, 3], [4, 5]]
    assert count_entries(leaves) == 6
    assert leaves[1].name() == "b.c"
