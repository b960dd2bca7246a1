"""A map iterated, x -> r x (1 - x): where its Lyapunov exponent is above 0, it is chaotic."""

from sweep import Experiment, Figure, FromTraining, Metric, Record, grid, linear_spaced


def begin(key):
    import jax

    return {"x": jax.random.uniform(key, minval=0.1, maxval=0.9), "logarithms": 0.0}


def step(state, r):
    import jax.numpy as jnp

    x = state["x"]
    return {"x": r * x * (1 - x), "logarithms": state["logarithms"] + jnp.log(jnp.abs(r * (1 - 2 * x)) + 1e-30)}


def measure(state, step):
    return {"loss": abs(state["x"] - 0.5), "exponent": state["logarithms"] / (step + 1e-9)}


experiment = Experiment(
    question="For which r is the logistic map chaotic?",
    training=FromTraining(begin, step, measure, r=3.5, metrics=[Metric("exponent", long_name="Lyapunov exponent")]),
    axes=grid(r=tuple(2.8 + k / 250 for k in range(301)), seed=range(4)),
    epochs=2000,
    record=Record(at=linear_spaced(10)),
    figures=(Figure("heatmap", {"metric": "exponent", "x": "r", "y": "epoch"}),),
)
