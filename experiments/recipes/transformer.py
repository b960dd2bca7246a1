"""One transformer block learns a + b mod 97: with weight decay it finds the rule, without it learns sums by heart."""

from sweep import Data, Experiment, Figure, FromModule, Optimizer, grid


def transformer(width):
    from flax import linen as nn

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Embed(97, width)(x.astype(int)) + self.param("place", nn.initializers.normal(), (2, width))
            h = h + nn.MultiHeadAttention(num_heads=4)(nn.LayerNorm()(h))
            h = h + nn.Dense(width)(nn.relu(nn.Dense(4 * width)(nn.LayerNorm()(h))))
            return nn.Dense(97)(h.mean(axis=1))

    return Transformer()


experiment = Experiment(
    question="Does a transformer block find the rule of a + b mod 97 in half of all sums?",
    task=Data([divmod(n, 97) for n in range(97**2)], [sum(divmod(n, 97)) % 97 for n in range(97**2)], validation=0.5),
    model=FromModule(transformer, width=32),
    optimizer=Optimizer("adamw", learning_rate=3e-3),
    axes=grid(weight_decay=(0.0, 1.0), seed=range(4)),
    loss="cross_entropy",
    batch_size=512,
    epochs=200,
    figures=(Figure("metric_curves", {"metric": "validation_accuracy", "lines": "weight_decay"}),),
)
