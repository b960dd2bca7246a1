"""How much harder is a step for being sharper?

A page may define its own target, Flax module and metric. Import JAX inside these, so that the page itself loads
without it.
"""

import numpy as np

from sweep import Experiment, FromFunction, FromModule, Metric, Optimizer, Record, grid, log_spaced, zipped


def smooth_step(x, sharpness):
    """Rise from -1 to 1 around x = 0.5, the faster the larger `sharpness`; a knob that the axes sweep."""
    import jax.numpy as jnp

    return jnp.tanh(sharpness * (x - 0.5))


def bumps(width):
    """Build a network of Gaussian bumps with free centres, widths and heights."""
    import jax.numpy as jnp
    from flax import linen as nn

    class Bumps(nn.Module):
        @nn.compact
        def __call__(self, x):
            centres = self.param("centres", nn.initializers.uniform(2.0), (width,)) - 1.0
            scale = self.param("scale", nn.initializers.constant(4.0), (width,))
            return nn.Dense(1)(jnp.exp(-((scale * (x - centres)) ** 2)))

    return Bumps()


def overshoot(moment):
    """Measure how far the network goes beyond the target's range."""
    import jax.numpy as jnp

    return jnp.maximum(jnp.max(moment.x_prediction) - jnp.max(moment.x_clean), 0)


experiment = Experiment(
    question="How much harder is a step for being sharper?",
    task=FromFunction(function=smooth_step, parameters={"sharpness": 10.0}, points=128),
    model=FromModule(build=bumps, width=32),
    optimizer=Optimizer("adam"),
    axes=zipped(seed=range(8), data_seed=range(8))
    * grid(sharpness=(5.0, 20.0, 80.0), learning_rate=np.geomspace(1e-3, 1, 7).round(6)),
    epochs=1000,
    record=Record(
        own=(Metric("overshoot", overshoot, long_name="overshoot beyond the target's range"),),
        at=log_spaced(50),
    ),
)
