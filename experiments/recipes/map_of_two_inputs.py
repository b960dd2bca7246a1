"""A map over two inputs, and how many measured points it takes until its hill, its hole and its slope are right."""

from sweep import MLP, Experiment, Figure, FromFunction, Optimizer, Record, grid, linear_spaced, zipped


def land(x):
    import jax.numpy as jnp

    east, north = x.T
    hill, hole = jnp.exp(-4 * ((east - 0.4) ** 2 + north**2)), jnp.exp(-9 * ((east + 0.5) ** 2 + (north - 0.3) ** 2))
    return hill - hole + 0.2 * north


experiment = Experiment(
    question="How many points does a map over two inputs need?",
    task=FromFunction(function=land, features=2, low=(-1, -1), high=(1, 1), placement="quasi_random"),
    model=MLP(width=32, depth=2),
    optimizer=Optimizer("adam", learning_rate=3e-3),
    axes=grid(points=(16, 64, 256)) * zipped(seed=range(8), data_seed=range(8)),
    epochs=2000,
    record=Record(metrics=("spatial_error",), at=linear_spaced(20), snapshots=2),
    figures=(Figure("surface"), Figure("surface_error")),
)
