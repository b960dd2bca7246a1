"""Cellular automata with one living cell at first: their rules make order, copies of it, chaos and structures."""

from sweep import Experiment, Figure, FromTraining, Metric, Record, every, grid

PLACES = 201


def begin():
    import jax.numpy as jnp

    return (jnp.arange(PLACES) == PLACES // 2).astype(int)


def step(cells, rule):
    import jax.numpy as jnp

    return (rule >> (4 * jnp.roll(cells, 1) + 2 * cells + jnp.roll(cells, -1))) & 1


def measure(cells):
    return {"loss": cells.mean(), "cells": cells}


experiment = Experiment(
    question="What does one living cell become?",
    training=FromTraining(
        begin, step, measure, rule=30, metrics=[Metric("cells", dims={"place": PLACES}, long_name="living cells")]
    ),
    axes=grid(rule=(250, 90, 30, 110)),
    epochs=100,
    record=Record(at=every(1)),
    figures=(Figure("heatmap", {"metric": "cells", "x": "place", "y": "epoch"}),),
)
