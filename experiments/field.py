"""A field over a plane: a function of two variables with two outputs, and where it is learned first."""

from sweep import MLP, Experiment, Figure, FromFunction, Optimizer, Record, grid, linear_spaced


def field(x, frequency_along_x2):
    """Two components at x of shape (points, 2): one is slow, the other oscillates faster along x2."""
    import jax.numpy as jnp

    slow = jnp.cos(2 * x[:, 0] + x[:, 1])
    return jnp.stack([slow, jnp.sin(frequency_along_x2 * x[:, 1] ** 2) * x[:, 0]], axis=1)


experiment = Experiment(
    question="Where does a network learn a field of two components last?",
    task=FromFunction(
        function=field,
        parameters={"frequency_along_x2": 8.0},
        features=2,
        low=(-1.0, -1.0),
        high=(1.0, 1.0),
        points=512,
        placement="quasi_random",
        outputs=("slow", "fast"),
    ),
    model=MLP(width=32, depth=2),
    optimizer=Optimizer("adam"),
    axes=grid(learning_rate=(1e-3, 3e-3, 1e-2), seed=range(8)),
    epochs=2000,
    record=Record(at=linear_spaced(40)),
    figures=(Figure("surface"), Figure("surface_error"), Figure("loss_curves")),
)
