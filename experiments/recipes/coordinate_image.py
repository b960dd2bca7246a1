"""A map as a function of two coordinates: with random Fourier features a network learns fine detail (Tancik 2020)."""

import numpy as np
from matplotlib.cbook import get_sample_data

from sweep import MLP, Data, Experiment, Figure, Optimizer, Record, grid, linear_spaced

HEIGHT = get_sample_data("topobathy.npz")["topo"][::2, ::2]  # of land and sea floor, in metres
PLACES = np.moveaxis(np.indices(HEIGHT.shape), 0, -1).reshape(-1, 2) / HEIGHT.shape

experiment = Experiment(
    question="At which scale do Fourier features show heights that the network was not trained on?",
    task=Data(PLACES, HEIGHT.ravel(), validation=0.5, standardise="targets", input_names=("south", "east")),
    model=MLP(width=64, depth=2, activation="relu", fourier_features=64),
    optimizer=Optimizer("adam", learning_rate=3e-3),
    axes=grid(fourier_scale=(0.1, 1.0, 10.0), seed=range(8)),
    batch_size=256,
    epochs=100,
    record=Record(metrics=("loss", "validation_loss"), at=linear_spaced(25)),
    figures=(Figure("loss_curves"), Figure("surface")),
)
