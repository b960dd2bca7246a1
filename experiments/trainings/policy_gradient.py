"""A policy gradient on a bandit of three arms: large rates settle on an arm before they know which is best."""

from sweep import Experiment, Figure, FromTraining, Metric, Record, grid, log_spaced

REWARDS = (0.2, 0.5, 0.8)


def begin(key):
    import jax

    return {"logits": 0.01 * jax.random.normal(key, (3,)), "baseline": 0.0}


def step(state, key, rate):
    import jax

    logits, (draw, pay) = state["logits"], jax.random.split(key)
    arm = jax.random.categorical(draw, logits)
    advantage = jax.random.bernoulli(pay, jax.numpy.array(REWARDS)[arm]) - state["baseline"]
    slope = jax.grad(lambda logits: jax.nn.log_softmax(logits)[arm])(logits)
    return {"logits": logits + rate * advantage * slope, "baseline": state["baseline"] + 0.1 * advantage}


def measure(state):
    import jax

    chances = jax.nn.softmax(state["logits"])
    return {"loss": max(REWARDS) - chances @ jax.numpy.array(REWARDS), "chance_of_the_best": chances[-1]}


best = Metric("chance_of_the_best", better="higher", long_name="chance of the best arm")
experiment = Experiment(
    question="At which rate does a policy gradient find the best of three arms?",
    training=FromTraining(begin, step, measure, rate=0.1, metrics=[best]),
    axes=grid(rate=(0.01, 0.1, 1.0, 10.0), seed=range(64)),
    epochs=3000,
    record=Record(at=log_spaced(40)),
    figures=(Figure("metric_curves", {"metric": "chance_of_the_best"}),),
)
