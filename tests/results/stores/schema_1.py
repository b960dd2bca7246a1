"""A page whose store was made before fingerprints left out defaults; see tests/test_stores.py."""

from sweep import MLP, Experiment, FromFunction, Metric, Optimizer, Record, grid, log_spaced
from sweep.engine.regression.sine import sine


def chirp(x, rate):
    """Oscillate the faster the larger x is; its sine is the package's own, whose module may move."""
    return sine(rate * x * x)


def overshoot(moment):
    """Measure how far the network goes beyond the target's range."""
    import jax.numpy as jnp

    from sweep.engine.regression.metrics import spatial_error

    return jnp.max(moment.x_prediction) - jnp.max(moment.x_clean) + 0 * jnp.sum(spatial_error(moment))


experiment = Experiment(
    question="How far does a small network overshoot a chirp?",
    task=FromFunction(function=chirp, parameters={"rate": 4.0}, points=16),
    model=MLP(width=4, depth=1),
    optimizer=Optimizer("adam"),
    axes=grid(seed=range(2))
    * (grid(learning_rate=(0.01, 1e30), activation=("tanh",)) + grid(learning_rate=(0.1,), activation=("relu",))),
    epochs=20,
    record=Record(own=(Metric("overshoot", overshoot, units="1"),), at=log_spaced(4), snapshots=2),
)
