"""Estimates: operations counted by hand, and what `--plan` says of a device that nobody has measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_plan, share_blocks, tiny

from sweep.engine import estimate as estimating
from sweep.engine.estimate import FIRST, estimate
from sweep.engine.estimate import _of_block as of_block
from sweep.engine.operations import operations_of
from sweep.engine.plan import Devices, pack
from sweep.page.axes import grid
from sweep.page.resolve import resolve
from sweep.specs import MLP, Metric, Record, every

WIDE = jax.ShapeDtypeStruct((5, 7), np.float32)
TALL = jax.ShapeDtypeStruct((7, 3), np.float32)


def test_a_product_has_two_operations_for_each_of_its_terms():
    found = operations_of(lambda a, b: jnp.tanh(a @ b) + 1, WIDE, TALL)
    assert (found.products, found.functions, found.elements) == (2 * 5 * 7 * 3, 5 * 3, 5 * 3)
    assert found.count == 3


def test_a_loop_repeats_work_and_not_code():
    once = operations_of(lambda a: jnp.tanh(a), WIDE)
    often = operations_of(lambda a: jax.lax.fori_loop(0, 9, lambda _, a: jnp.tanh(a), a), WIDE)
    assert often.functions == 9 * once.functions
    assert often.count < 9


def test_of_several_branches_the_longest_counts():
    found = operations_of(
        lambda a, which: jax.lax.switch(which, [jnp.tanh, jnp.abs, lambda a: a], a), WIDE, jnp.int32(0)
    )
    assert (found.functions, found.elements >= 0) == (35, True)


def test_a_network_s_step_has_the_products_of_its_layers(monkeypatch):
    """16 points; layers 1-6-6-1: forwards, and for the gradients of weights and inputs."""
    counted = []
    monkeypatch.setattr(estimating, "_of_block", lambda *args: counted.append(of_block(*args)) or counted[-1])
    expected = estimate(make_plan(tiny(model=MLP(width=6, depth=2), axes=grid(seed=range(3)))))
    ((step, _),) = counted
    assert step.products == 3 * 2 * 16 * (6 + 36 + 6)
    assert expected.is_measured


def test_orders_of_points_are_counted_once_an_epoch():
    def elements(batch_size):
        ((block, _),) = (plan := make_plan(tiny(batch_size=batch_size))).blocks()
        return of_block(block, tuple(plan.programs[0].numbers[0]))[0].elements

    assert elements(4) > elements(None) / 4 + 2 * 16 * 16 / 4  # all numbers are compared with all


def test_shallow_networks_in_a_block_of_deep_ones_cost_what_they_compute(monkeypatch):
    axes = grid(seed=range(32), depth=(1, 4))
    apart = estimate(make_plan(tiny(axes=axes, epochs=10_000), 1)).training
    share_blocks(monkeypatch)
    together = make_plan(tiny(axes=axes, epochs=10_000), 1)
    assert sum(1 for _ in together.blocks()) == 1
    assert estimate(together).training == pytest.approx(apart, rel=0.3)


def test_expensive_metrics_and_unfilled_tiles_are_counted():
    def hessian(moment):
        flat, unravel = jax.flatten_util.ravel_pytree(moment.parameters)
        return jnp.trace(jax.hessian(lambda p: jnp.mean(moment.apply(unravel(p), moment.data.inputs) ** 2))(flat))

    def training(**changes):
        return estimate(make_plan(tiny(axes=grid(seed=range(32)), **changes), 1)).training

    plain, costly = (
        training(record=Record(metrics=("loss",), at=every(1), own=own)) for own in ((), (Metric("h", hessian),))
    )
    assert costly - FIRST > 2 * (plain - FIRST)
    assert estimate(make_plan(tiny(axes=grid(seed=range(1))), 1)).training == pytest.approx(training())


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_rates_of_a_device_that_nobody_measured_are_guesses(platform):
    plan = pack(resolve(tiny()), memory=2**33, devices=Devices(platform, "an accelerator", 1))
    assert not estimate(plan).is_measured


def test_products_and_slow_functions_in_a_loop_and_convolutions_are_counted() -> None:
    def step(x, w):
        (x, _), _ = jax.lax.scan(lambda carry, _: ((jnp.tanh(carry[0] @ w), 0), None), (x, 0), length=5)
        return x

    found = operations_of(step, jnp.ones((3, 4)), jnp.ones((4, 4)))
    assert (found.products, found.functions) == (5 * 2 * 3 * 4 * 4, 5 * 3 * 4)
    assert found.bytes == 2 * 4 * 3 * 4  # each once: the product and its tanh

    def convolve(x, kernel):
        return jax.lax.conv(x, kernel, (1, 1), "SAME")

    found = operations_of(convolve, jnp.ones((2, 3, 8, 8)), jnp.ones((5, 3, 3, 3)))
    assert found.products == 2 * (2 * 5 * 8 * 8) * (3 * 3 * 3)
