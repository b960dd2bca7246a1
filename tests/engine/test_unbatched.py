"""Decompositions of several matrices: computed one at a time, with the numbers of a batch, anywhere in a program."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import jax.scipy.linalg as scipy_linalg
import numpy as np
import pytest
from helpers import make_plan, tiny

from sweep.axes import grid
from sweep.engine import program as programs
from sweep.engine.prepare import names_of
from sweep.engine.unbatched import unbatch
from sweep.runs.runner import run_sweep
from sweep.specs import Metric, Optimizer, Record, linear_spaced


def definite(x):
    return x @ x.mT + 3 * jnp.eye(x.shape[-1])


DECOMPOSED = {
    "cholesky": lambda x: jnp.linalg.cholesky(definite(x)),
    "cond": lambda x: jnp.linalg.cond(x),
    "det": lambda x: jnp.linalg.det(x),
    "eig": lambda x: jnp.abs(jnp.linalg.eig(x)[0]),
    "eigh": lambda x: jnp.linalg.eigh(definite(x)),
    "eigvalsh": lambda x: jnp.linalg.eigvalsh(definite(x)),
    "inv": lambda x: jnp.linalg.inv(definite(x)),
    "lstsq": lambda x: jnp.linalg.lstsq(x, x[0])[0],
    "matrix_rank": lambda x: jnp.linalg.matrix_rank(x),
    "nuclear norm": lambda x: jnp.linalg.norm(x, "nuc"),
    "pinv": lambda x: jnp.linalg.pinv(x),
    "qr": lambda x: jnp.linalg.qr(x),
    "slogdet": lambda x: jnp.linalg.slogdet(x),
    "solve": lambda x: jnp.linalg.solve(definite(x), x[0]),
    "svd": lambda x: jnp.linalg.svd(x)[1],
    "expm": lambda x: scipy_linalg.expm(x),
    "hessenberg": lambda x: scipy_linalg.hessenberg(x),
    "cho_solve": lambda x: scipy_linalg.cho_solve(scipy_linalg.cho_factor(definite(x)), x),
    "lu": lambda x: scipy_linalg.lu(x),
    "polar": lambda x: scipy_linalg.polar(x),
    "qr with pivots": lambda x: scipy_linalg.qr(x, pivoting=True),
    "schur": lambda x: scipy_linalg.schur(x),
    "solve_triangular": lambda x: scipy_linalg.solve_triangular(definite(x), x),
    "tridiagonal_solve": lambda x: jax.lax.linalg.tridiagonal_solve(x[0], 9 + x[1], x[2], x),
    "tridiagonal": lambda x: jax.lax.linalg.tridiagonal(definite(x)),
    "a batch of its own": lambda x: jax.vmap(lambda shift: jnp.linalg.eigvalsh(definite(x) + shift))(jnp.arange(3.0)),
    "a gradient": jax.grad(lambda x: jnp.linalg.slogdet(definite(x))[1]),
    "in a scan": lambda x: jax.lax.scan(lambda c, _: (c + 1, jnp.linalg.eigvalsh(definite(c))), x, length=2),
    "in a loop": lambda x: jax.lax.while_loop(lambda c: c[0, 0] < 5, lambda c: jnp.linalg.inv(definite(c)) + c + 1, x),
    "in a branch": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.linalg.inv, lambda x: x, definite(x)),
    "in a remat": jax.checkpoint(lambda x: jnp.linalg.inv(definite(x))),
}


def in_a_tile(function):
    """Call a function in the way the program calls a metric: for each lane, in a branch within a loop."""

    def together(lanes):
        def step(_, found):
            return jax.lax.cond(lanes[0, 0, 0] < 9, lambda: jax.vmap(function)(lanes), lambda: found)

        return jax.lax.fori_loop(0, 2, step, jax.tree.map(jnp.zeros_like, jax.vmap(function)(lanes)))

    return together


def batches(text):
    """Give the shapes of batches that LAPACK decomposes in a lowered program."""
    calls = re.findall(
        r"custom_call @(lapack_\w+|tridiagonal_solve\w*)\(.*?:\s*\(tensor<([0-9x]+)x[a-z0-9<>]+[,)]", text
    )
    return [(name, dims) for name, dims in calls if dims.count("x") > ("tsv" not in name and "solve" not in name)]


QUICK = ("eigh", "svd", "solve", "tridiagonal_solve", "a batch of its own", "in a scan", "in a branch")


@pytest.mark.parametrize(
    "name", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in DECOMPOSED]
)
def test_a_decomposition_is_of_one_matrix_and_its_numbers_are_those_of_the_batch(name):
    lanes = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 6)) / 4, jnp.float32)
    plain = in_a_tile(DECOMPOSED[name])
    lowered = jax.jit(unbatch(plain)).lower(lanes)
    assert batches(jax.jit(plain).lower(lanes).as_text())  # else nothing is shown
    assert not batches(lowered.as_text())
    for one, all_at_once in zip(
        jax.tree.leaves(lowered.compile()(lanes)), jax.tree.leaves(jax.jit(plain)(lanes)), strict=True
    ):
        assert one.dtype == all_at_once.dtype
        np.testing.assert_allclose(one, all_at_once, rtol=1e-5, atol=1e-6)


def lowered(experiment, monkeypatch, wrap):
    monkeypatch.setattr(programs, "unbatch", wrap)
    plan = make_plan(experiment, 2)
    (program,) = plan.programs
    arrays = [
        programs.array_shapes(block, plan.devices.live(), names)
        for block, names in zip(program.blocks, names_of(program), strict=True)
    ]
    counts = jax.ShapeDtypeStruct((len(arrays),), np.int32)
    live = jax.ShapeDtypeStruct((2, len(arrays)), np.int32, sharding=programs.sharding(plan.devices.live()))
    lanes, data, numbers, _ = zip(*arrays, strict=True)
    arguments = (list(lanes), list(data), list(numbers), [], counts, counts, live, jax.ShapeDtypeStruct((), np.bool_))
    training = programs.program(program.blocks, plan.devices.live()).lower(*arguments)
    return operations(training), operations(
        programs.beginning(program.blocks[0], plan.devices.live()).lower(arrays[0].numbers, ())
    )


def operations(lowered):
    """List a program's operations without the numbers of their results, which follow the order of constants."""
    return sorted(re.sub(r"%\w+", "%", lowered.as_text()).splitlines())


def test_a_program_without_decompositions_is_unchanged(monkeypatch):
    experiment = tiny(axes=grid(seed=(0, 1)), batch_size=5, record=Record(at=linear_spaced(2)))
    assert lowered(experiment, monkeypatch, unbatch) == lowered(experiment, monkeypatch, lambda function: function)


def top(moment, matrices):
    """Give the largest eigenvalue of several matrices of a lane."""
    x = moment.data.points[0]
    kernel = jnp.exp(-((x[:, None] - x) ** 2)) + 0.01 * moment.loss * jnp.eye(x.size)
    return jax.vmap(lambda shift: jnp.linalg.eigh(kernel + shift)[0][-1])(jnp.arange(matrices * 1.0)).sum()


def test_a_metric_that_decomposes_returns_on_every_device_with_the_numbers_of_numpy():
    own = tuple(Metric(f"top_{matrices}", partial(top, matrices=matrices)) for matrices in (1, 3))
    record = Record(metrics=("loss",), own=own, at=linear_spaced(3), snapshots=0)
    ds = run_sweep(tiny(axes=grid(seed=range(64)), optimizer=Optimizer("sgd"), epochs=6, record=record))
    kernel = np.exp(-((ds.x.values[:, None] - ds.x.values) ** 2))
    for seed, epoch in ((0, 0), (40, 1), (63, 3)):
        loss = float(ds.loss.values[seed, epoch])
        exact = [np.linalg.eigvalsh(kernel + 0.01 * loss * np.eye(16) + shift)[-1] for shift in range(3)]
        np.testing.assert_allclose(ds.top_1.values[seed, epoch], exact[0], rtol=1e-5)
        np.testing.assert_allclose(ds.top_3.values[seed, epoch], sum(exact), rtol=1e-5)
