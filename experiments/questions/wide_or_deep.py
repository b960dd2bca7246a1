"""At which width and depth does a small ReLU network get hung up on a sine?

The training of 004 over widths and depths; one layer of 35 neurons has as many parameters as four layers of 5.
"""

from math import pi

from sweep import MLP, AtLeast, Claim, Experiment, Figure, Optimizer, Record, Sine, grid, log_spaced, stats, zipped

STUCK = 0.176  # just below the loss of the best straight line, 0.5 - 3 / pi^2 = 0.196


def narrow_are_stuck_more_often(ds):
    """Compare, over all depths of two or more, how many of a seed's networks of width 5 are stuck with those of 35."""
    stuck = (stats.final(ds.sel(depth=slice(2, None)), "loss") > STUCK).mean("depth")
    return stuck.sel(width=5, drop=True) - stuck.sel(width=35, drop=True)


experiment = Experiment(
    question="At which width and depth does a small ReLU network get hung up on a sine?",
    task=Sine(target_frequency=1 / (2 * pi), low=-pi, high=pi, points=100000, placement="random", inputs="as_is"),
    model=MLP(activation="relu", initializer="glorot_uniform"),
    optimizer=Optimizer("sgd", learning_rate=0.01),
    axes=zipped(seed=range(32), data_seed=range(32)) * grid(width=(5, 10, 20, 35), depth=(1, 2, 3, 4)),
    epochs=5,
    batch_size=32,
    record=Record(metrics=("loss",), at=log_spaced(12), snapshots=0),
    figures=(
        Figure("share", {"metric": "loss", "at_least": STUCK, "rows": "depth", "columns": "width"}),
        Figure("outcome", {"rows": "depth", "columns": "width"}),
    ),
    claims=(
        Claim(
            id="C19c",
            text="Deep networks get hung up where they are narrow: share of a seed's networks of two to four layers "
            "with a loss above 0.176 at width 5, minus that at width 35",
            source="004",
            measure=narrow_are_stuck_more_often,
            statistic="mean",
            criterion=AtLeast(0.05),
            figure="share",
        ),
    ),
)
