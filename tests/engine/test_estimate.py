"""Estimates: operations counted by hand, and what `--plan` says of a device that nobody has measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_plan, tiny

from sweep.engine.estimate import estimate, operations_of
from sweep.engine.plan import Devices, pack
from sweep.page.axes import grid
from sweep.page.resolve import resolve
from sweep.specs import MLP, Metric, Record, every

WIDE = jax.ShapeDtypeStruct((5, 7), np.float32)
TALL = jax.ShapeDtypeStruct((7, 3), np.float32)


def test_a_product_has_two_operations_for_each_of_its_terms():
    found = operations_of(lambda a, b: jnp.tanh(a @ b) + 1, WIDE, TALL)
    assert (found.products, found.functions, found.elements) == (2 * 5 * 7 * 3, 5 * 3, 5 * 3)
    assert found.count == len(found.kinds) == 3


def test_a_loop_repeats_work_and_not_code():
    once = operations_of(lambda a: jnp.tanh(a), WIDE)
    often = operations_of(lambda a: jax.lax.fori_loop(0, 9, lambda _, a: jnp.tanh(a), a), WIDE)
    assert often.functions == 9 * once.functions
    assert sum(kind[0] == "tanh" for kind in often.kinds) == 1


def test_of_several_branches_the_longest_counts():
    found = operations_of(
        lambda a, which: jax.lax.switch(which, [jnp.tanh, jnp.abs, lambda a: a], a), WIDE, jnp.int32(0)
    )
    assert (found.functions, found.elements >= 0) == (35, True)


def test_a_network_s_step_has_the_products_of_its_layers():
    plan = make_plan(tiny(model=MLP(width=6, depth=2), axes=grid(seed=range(3))))
    ((block, _),) = plan.blocks()
    assert block.training.cost().flops == 6 * 16 * (6 + 36 + 6)
    expected = estimate(plan)
    assert expected.is_measured
    assert expected.compiling > 0


def test_expensive_metrics_and_unfilled_tiles_are_counted():
    def hessian(moment):
        flat, unravel = jax.flatten_util.ravel_pytree(moment.parameters)
        return jnp.trace(jax.hessian(lambda p: jnp.mean(moment.apply(unravel(p), moment.data.inputs) ** 2))(flat))

    def training(**changes):
        return estimate(make_plan(tiny(axes=grid(seed=range(32)), **changes), 1)).training

    plain, costly = (
        training(record=Record(metrics=("loss",), at=every(1), own=own)) for own in ((), (Metric("h", hessian),))
    )
    assert costly > 2 * plain
    assert estimate(make_plan(tiny(axes=grid(seed=range(1))), 1)).training == pytest.approx(training())


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_rates_of_a_device_that_nobody_measured_are_guesses(platform):
    plan = pack(resolve(tiny()), memory=2**33, devices=Devices(platform, "an accelerator", 1))
    assert not estimate(plan).is_measured
