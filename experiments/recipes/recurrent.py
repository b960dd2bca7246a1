"""How far back can a GRU remember? Its target is one number of a sequence of twelve, `lag` steps before the last."""

from sweep import Experiment, Figure, FromFunction, FromModule, Optimizer, Record, grid, linear_spaced


def past(x, lag):
    import jax.numpy as jnp

    return jnp.take(x, 11 - jnp.asarray(lag, int), axis=1)


def gru(width):
    from flax import linen as nn

    to_steps, last = lambda x: x[:, :, None], lambda states: states[:, -1]
    return nn.Sequential([to_steps, nn.RNN(nn.GRUCell(width)), last, nn.Dense(1)])


experiment = Experiment(
    question="How far back can a GRU remember?",
    task=FromFunction(function=past, parameters={"lag": 0}, features=12, low=-1.0, points=256, placement="random"),
    model=FromModule(gru, width=16),
    optimizer=Optimizer("adam", learning_rate=0.01),
    axes=grid(lag=range(0, 12), seed=range(4)),
    epochs=400,
    record=Record(metrics=("loss",), at=linear_spaced(50)),
    figures=(Figure("metric_epoch", {"rows": "lag"}), Figure("metric_curves", {"lines": "lag"})),
)
