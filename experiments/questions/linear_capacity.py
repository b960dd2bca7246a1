"""Does one linear neuron lack the capacity for y = 2x + 1 and noise?

System 003a: one neuron, x = linspace(0, 10, 100), noise of deviation 1, Keras' initial weights, gradient descent at
0.01 in batches of 32, 100 epochs. No straight line can have a lower loss than that of least squares, about 1, the
variance of the noise.
"""

from sweep import MLP, AtLeast, Claim, Experiment, Figure, Linear, Metric, Optimizer, Record, log_spaced, stats, zipped


def least_squares_loss(moment):
    """Compute the lowest loss that a straight line can have on this lane's points."""
    import jax.numpy as jnp

    x, y = moment.data.points[0], moment.data.target
    x, y = x - jnp.mean(x), y - jnp.mean(y)
    return jnp.mean(y**2) - jnp.mean(x * y) ** 2 / jnp.mean(x**2)


def loss_above_least_squares(ds):
    return stats.final(ds, "loss") - stats.final(ds, "least_squares_loss")


experiment = Experiment(
    question="Does one linear neuron lack the capacity for y = 2x + 1 and noise?",
    task=Linear(
        slopes=(2.0,), intercept=1.0, noise=1.0, low=0, high=10, points=100, placement="grid_with_end", inputs="as_is"
    ),
    model=MLP(depth=0, initializer="glorot_uniform"),
    optimizer=Optimizer("sgd", learning_rate=0.01),
    axes=zipped(seed=range(256), data_seed=range(256)),
    epochs=100,
    batch_size=32,
    record=Record(
        metrics=("loss", "clean_loss", "spatial_error"),
        own=(Metric("least_squares_loss", least_squares_loss, long_name="lowest loss of a straight line"),),
        at=log_spaced(60),
    ),
    figures=(Figure("loss_curves", {"reference": "least_squares_loss"}), Figure("fits")),
    claims=(
        Claim(
            id="C14",
            text="One linear neuron lacks the capacity: its final loss is more than 0.1 above that of least squares",
            source="003",
            measure=loss_above_least_squares,
            criterion=AtLeast(0.1),
            figure="loss_curves",
        ),
    ),
)
