"""Figures by name: each takes labelled results and the figure's options, and returns a matplotlib figure or a film."""

from collections.abc import Callable
from typing import Final

from matplotlib.figure import Figure

from sweep.plots.convergence import epochs_to_converge
from sweep.plots.epoch_maps import frequency_epoch, learning_rate_epoch, metric_epoch, space_epoch
from sweep.plots.film import Film
from sweep.plots.growing import growth
from sweep.plots.heatmaps import heatmap, heatmap_film
from sweep.plots.lines import curves, loss_curves, metric_curves
from sweep.plots.networks import fits
from sweep.plots.outcomes import outcome, share

FIGURES: Final[dict[str, Callable[..., Figure]]] = {
    draw.__name__: draw
    for draw in (
        frequency_epoch,
        learning_rate_epoch,
        metric_epoch,
        epochs_to_converge,
        outcome,
        share,
        curves,
        loss_curves,
        metric_curves,
        fits,
        space_epoch,
        heatmap,
    )
}
FILMS: Final[dict[str, Callable[..., Film]]] = {"growth": growth, "heatmap_film": heatmap_film}
