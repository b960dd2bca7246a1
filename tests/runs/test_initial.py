"""The parameters with which a lane begins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import lives, make_plan, rows_of, share_blocks, tiny

from sweep import MLP, FromModule, SweepError, initial_parameters
from sweep.engine.keys import stream
from sweep.page.axes import grid
from sweep.specs import Halving


def test_they_are_those_of_the_lane_also_where_its_block_is_padded(monkeypatch) -> None:
    experiment = tiny(
        model=MLP(depth=1, bias_initializer="normal"), axes=grid(seed=(0, 5), width=(3, 6), initial_scale=(1.0, 2.0)),
        stop=Halving(within=("width",), first=0.3), epochs=20,
    )  # fmt: skip
    share_blocks(monkeypatch)
    plan = make_plan(experiment)
    assert [block.training.padded for block, _ in plan.blocks()] == [True]
    for row, life in zip(rows_of(experiment), lives(plan, records=1), strict=True):
        own = initial_parameters(experiment, **dict(row))
        width, padded = dict(row)["width"], life.states[0].parameters
        np.testing.assert_array_equal(own["layer_0"]["kernel"], padded["layer_0"]["kernel"][:, :width])
        np.testing.assert_array_equal(own["layer_0"]["bias"], padded["layer_0"]["bias"][:width])
        np.testing.assert_array_equal(own["layer_1"]["kernel"], padded["layer_1"]["kernel"][:width])


def build(width):
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return nn.Dense(1)(nn.BatchNorm(use_running_average=not train)(nn.Dense(width)(x)))

    return Net()


def test_those_of_a_module_are_what_its_own_init_gives() -> None:
    own = initial_parameters(tiny(model=FromModule(build)), seed=4, width=5)
    wanted = build(5).init(stream(jnp.uint32(4), "weights"), jnp.zeros((16, 1)), False)
    jax.tree.map(np.testing.assert_array_equal, own, {**wanted})
    assert isinstance(jax.tree.leaves(own)[0], np.ndarray)


@pytest.mark.parametrize(
    ("knobs", "line"),
    [({"widht": 3}, "unknown knob 'widht': did you mean 'width'?"), ({"width": 0}, "width must be at least 1, got 0")],
)
def test_what_is_no_lane_is_refused(knobs, line) -> None:
    with pytest.raises(SweepError) as refused:
        initial_parameters(tiny(), **knobs)
    assert str(refused.value) == line
