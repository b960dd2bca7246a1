"""Pages whose lanes do not divide evenly over devices, and running one of them in a process with so many devices.

The process is started as `python -m tests.faults.device_pages NAME STORE USED SHARE`, with `JAX_NUM_CPU_DEVICES` set.
"""

import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweep import Data, Experiment, FromFunction, FromModule, FromTraining, Metric, grid, log_uniform, sampled, zipped
from sweep.specs import (
    MLP,
    Halving,
    Optimizer,
    Plateau,
    Record,
    SumOfSines,
    Target,
    linear_spaced,
    log_spaced,
)

ROWS = np.random.default_rng(5).normal(size=(61, 3))
WORDS = np.array(["in", "out"])[(np.hypot(*ROWS[:, :2].T) > 1.2).astype(int)]
EVERYTHING = Record(at=log_spaced(5), snapshots=2, keep="state")
LOSS = Record(("loss",), at=linear_spaced(6), snapshots=2, keep="state")
PLAIN: dict[str, Any] = {
    "question": "Do devices change bits?",
    "task": SumOfSines(frequencies=(1, 3), points=16, noise=0.1),
    "model": MLP(width=6, depth=2),
    "optimizer": Optimizer("adam", learning_rate=1e-2),
    "epochs": 24,
    "record": EVERYTHING,
}


def sharp(x: Any, sharpness: Any) -> Any:
    """Give a target with a division by one of its own numbers."""
    return x / (sharpness + abs(x)) * 3


def normalised(width: int) -> Any:
    """Build a network with reductions and quotients of its own."""
    from flax import linen as nn

    class Normalised(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.Dense(width)(x)
            x = nn.LayerNorm()(x)
            return nn.Dense(1)(nn.softmax(x) / 3.0)

    return Normalised()


def overshoot(moment: Any) -> Any:
    """Divide by what all points have in common."""
    deviation = moment.x_prediction - moment.x_clean
    return abs(deviation).max() / (1e-3 + moment.x_clean.std())


def draw(key: Any) -> Any:
    """Begin a training of the page's own."""
    import jax

    return {"x": jax.random.uniform(key, minval=0.1, maxval=0.9), "logarithms": 0.0}


def iterate(state: Any, r: Any) -> Any:
    """Iterate the logistic map."""
    import jax.numpy as jnp

    x = state["x"]
    return {"x": r * x * (1 - x), "logarithms": state["logarithms"] + jnp.log(abs(r * (1 - 2 * x)) + 1e-30)}


def exponent(state: Any, step: Any) -> Any:
    """Measure the map."""
    return {"loss": abs(state["x"] - 0.5), "exponent": state["logarithms"] / (step + 1e-9)}


@dataclass(frozen=True)
class Sized:
    """A page, and how it is planned.

    Args:
        make: makes its experiment.
        tile: the largest number of lanes in a tile.
        wave: the number of lanes in a wave; None is all.
    """

    make: Callable[[], Experiment]
    tile: int = 2
    wave: int | None = None


def _page(**changes: Any) -> Callable[[], Experiment]:
    return lambda: Experiment(**PLAIN | changes)


THIRTEEN = zipped(seed=range(13), data_seed=range(13))
FROM_DATA = {"loss": "cross_entropy", "batch_size": 16}
NO_NETWORK = {"task": None, "model": None, "optimizer": None}

PAGES = {
    "thirteen lanes": Sized(_page(axes=THIRTEEN)),
    "thirteen lanes in whole tiles": Sized(_page(axes=THIRTEEN * grid(learning_rate=(1e-3, 1e-2, 3e-2))), 32),
    "five lanes": Sized(_page(axes=grid(seed=range(5))), 1),
    "one lane": Sized(_page(axes=grid(seed=(3,))), 1),
    "several widths": Sized(_page(axes=grid(width=(3, 6, 9), seed=range(5), depth=(1, 2)))),
    "forty structures in shared blocks": Sized(_page(axes=grid(width=range(2, 42)), record=LOSS), 4),
    "minibatches": Sized(_page(axes=grid(batch_size=(16, 5), seed=range(7), learning_rate=(1e-3, 1e-2)))),
    "diverging lanes": Sized(
        _page(
            axes=grid(seed=range(3), learning_rate=(1e-2, 1.0, 30.0, 1e3, 1e6)),
            optimizer=Optimizer("sgd", momentum=0.9),
        )
    ),
    "uneven waves": Sized(_page(axes=THIRTEEN * grid(width=(4, 7))), 2, 8),
    "waves of one lane": Sized(_page(axes=grid(seed=range(5)), record=LOSS), 2, 1),
    "lanes that stop": Sized(
        _page(
            axes=zipped(seed=range(17), data_seed=range(17)) * grid(learning_rate=(1e-3, 3e-2)),
            stop=(Target(0.4), Plateau(patience=8)),
            record=LOSS,
            epochs=60,
        )
    ),
    "lanes that are cut": Sized(
        _page(axes=sampled(13, learning_rate=log_uniform(1e-4, 1e-1)) * grid(seed=(1, 2)), stop=Halving(), record=LOSS),
        4,
    ),
    "optimisers in float64": Sized(
        _page(
            axes=grid(optimizer=("sgd", "adam", "lamb", "muon"), seed=range(5)),
            optimizer=Optimizer("adam", learning_rate=1e-2, schedule="cosine", clip_norm=0.5),
            precision="float64",
        )
    ),
    "classes of rows": Sized(
        _page(
            task=Data(ROWS, WORDS, validation=0.25, standardise="inputs"),
            axes=grid(seed=range(7), learning_rate=(1e-3, 3e-2)),
            record=Record(("validation_loss", "validation_accuracy"), at=log_spaced(4), snapshots=2, keep="state"),
            **FROM_DATA,
        )
    ),
    "standardised targets": Sized(
        _page(
            task=Data(ROWS[:, :2], ROWS, validation=0.25, standardise="both"),
            axes=zipped(seed=range(7), data_seed=range(7)),
            record=Record(("validation_loss",), at=log_spaced(4), snapshots=2, keep="state"),
        )
    ),
    "code of the page": Sized(
        _page(
            task=FromFunction(function=sharp, parameters={"sharpness": 1.0}, points=33),
            model=FromModule(build=normalised, width=8),
            axes=grid(seed=range(5), sharpness=(0.3, 1.0, 3.0)),
            record=Record(own=(Metric("overshoot", overshoot),), at=log_spaced(4), snapshots=2, keep="state"),
        )
    ),
    "sharpness": Sized(
        _page(axes=grid(seed=range(5)), record=Record(("sharpness", "gradient_norm"), at=log_spaced(3), keep="state"))
    ),
    "a training of the page": Sized(
        lambda: Experiment(
            question="Do devices change bits?",
            training=FromTraining(draw, iterate, exponent, r=3.5, metrics=[Metric("exponent")]),
            axes=grid(r=tuple(2.8 + k / 10 for k in range(13)), seed=range(3)),
            epochs=200,
            record=Record(at=log_spaced(5), keep="state"),
        )
    ),
}


def run(name: str, store: str, used: int | None, share: float) -> None:
    """Begin or resume a store of a page, with saves at every record, on some of the devices that there are.

    Args:
        name: of the page.
        store: the folder of the store.
        used: number of devices; None is all.
        share: of the steps, after which SIGTERM comes.
    """
    from sweep import run_sweep
    from sweep.base.signals import Terminated
    from sweep.engine import cost

    from .stores import small_waves

    page = PAGES[name]
    cost.TILE_LARGEST["cpu"] = page.tile  # pyright: ignore[reportIndexIssue]

    def watch(progress: Any) -> None:
        if progress.lane_steps > share * progress.plan.lane_steps():
            signal.raise_signal(signal.SIGTERM)

    with small_waves(page.wave), contextlib.suppress(Terminated):
        run_sweep(page.make(), out=store, resume=True, devices=used, watch=watch)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]) or None, float(sys.argv[4]))
