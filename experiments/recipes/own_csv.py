"""Rows of a CSV file, a fifth of them for validation: the period of a pendulum from its length, angle and mass.

The 300 rows are 2 pi sqrt(length / 9.81) (1 + angle^2 / 16) with 1% noise, whatever the mass."""

from sweep import MLP, Data, Experiment, Figure, Optimizer, Record, grid, linear_spaced

experiment = Experiment(
    question="How large should a network be that predicts the period of a pendulum?",
    task=Data.read("pendulum.csv", targets="period_s", validation=0.2, standardise="both"),
    model=MLP(depth=2),
    optimizer=Optimizer("adam", learning_rate=3e-3),
    axes=grid(width=(2, 8, 32), seed=range(8)),
    batch_size=32,
    epochs=200,
    record=Record(metrics=("validation_loss",), at=linear_spaced(40)),
    figures=(Figure("metric_curves", {"metric": "validation_loss", "lines": "width"}), Figure("predicted")),
)
