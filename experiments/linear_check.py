"""Does the engine's gradient descent follow the closed form of linear least squares?

For f(x) = w . x + b started at zero, the mean squared error after t steps of rate r is known exactly: with
H = 2 X X' / n, its eigenvalues l_i, and the distance d_i of the start from the optimum along eigenvector i,

    loss(t) = least loss + sum_i l_i (1 - r l_i)^(2 t) d_i^2 / 2.

The largest rate is above 2 / max(l), where the formula grows without bound, and so must the loss in training.
"""

from sweep import MLP, Experiment, Figure, Linear, Metric, Optimizer, Record, grid, log_spaced, zipped


def closed_form_loss(moment):
    """Compute the loss that the formula gives, from the lane's points and targets alone."""
    import jax.numpy as jnp

    x, y = moment.data.inputs, moment.data.target
    x = jnp.concatenate([x, jnp.ones_like(x[:1])])  # the intercept is the slope of a constant feature
    n = x.shape[1]
    values, vectors = jnp.linalg.eigh(2 * x @ x.T / n)
    optimum = jnp.linalg.solve(x @ x.T, x @ y)
    least = jnp.mean((optimum @ x - y) ** 2)
    distance = (1 - moment.numbers["learning_rate"] * values) ** moment.step * (vectors.T @ optimum)
    return least + jnp.sum(values * distance**2) / 2


experiment = Experiment(
    question="Does gradient descent follow the closed form of linear least squares?",
    task=Linear(
        slopes=(2.0, -1.0, 0.5, 0.1),
        intercept=1.0,
        low=-1.0,
        high=1.0,
        placement="random",
        points=64,
        noise=0.1,
    ),
    model=MLP(depth=0, initializer="zeros"),
    optimizer=Optimizer("sgd"),
    axes=zipped(seed=range(8), data_seed=range(8)) * grid(learning_rate=(0.003, 0.01, 0.03, 0.1, 0.3, 1.2)),
    epochs=2000,
    precision="float64",
    record=Record(
        metrics=("loss", "gradient_norm", "parameter_norm"),
        own=(Metric("closed_form_loss", closed_form_loss, long_name="loss by the closed form"),),
        at=log_spaced(60),
    ),
    figures=(Figure("loss_curves", {"reference": "closed_form_loss"}), Figure("learning_rate_epoch")),
)
