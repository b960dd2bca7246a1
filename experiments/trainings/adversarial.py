"""A generative adversarial network learns two peaks, at -1 and 1: how much faster must its discriminator learn?"""

from sweep import Experiment, Figure, FromTraining, Record, grid, linear_spaced


def network(weights, x):
    import jax

    return jax.numpy.tanh(x[:, None] * weights[0] + weights[1]) @ weights[2]


def begin(key):
    import jax

    weights = jax.random.normal(key, (2, 3, 32)) / 3
    return {"generator": weights[0], "discriminator": weights[1]}


def draw(key):
    import jax

    kind, spread, noise = jax.random.split(key, 3)
    peaks = jax.random.rademacher(kind, (256,)) + 0.1 * jax.random.normal(spread, (256,))
    return peaks, jax.random.normal(noise, (256,))


def step(state, key, rate, ratio):
    import jax
    from jax.nn import softplus

    (real, noise), generator, discriminator = draw(key), state["generator"], state["discriminator"]

    def loss_of_discriminator(weights):
        return (softplus(-network(weights, real)) + softplus(network(weights, network(generator, noise)))).mean()

    def loss_of_generator(weights):
        return softplus(-network(discriminator, network(weights, noise))).mean()

    discriminator = discriminator - ratio * rate * jax.grad(loss_of_discriminator)(discriminator)
    return {
        "generator": generator - rate * jax.grad(loss_of_generator)(generator),
        "discriminator": discriminator,
    }


def measure(state):
    import jax

    real, noise = draw(jax.random.key(0))
    made = network(state["generator"], noise)  # its distance to the peaks, place by place in order
    return {"loss": abs(jax.numpy.sort(made) - jax.numpy.sort(real)).mean()}


experiment = Experiment(
    question="How much faster than its generator must a discriminator learn?",
    training=FromTraining(begin, step, measure, rate=0.03, ratio=1.0),
    axes=grid(ratio=(0.1, 0.3, 1.0, 3.0, 10.0), rate=(0.01, 0.03, 0.1, 0.3), seed=range(8)),
    epochs=5000,
    record=Record(at=linear_spaced(50)),
    figures=(Figure("outcome"), Figure("metric_epoch", {"rows": "ratio"})),
)
