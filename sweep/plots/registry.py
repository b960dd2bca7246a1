"""Figures by name: each takes labelled results and the figure's options, and returns a matplotlib figure or a film."""

from collections.abc import Callable
from typing import Final

from matplotlib.figure import Figure

from sweep.plots.curves import curves, loss_curves, metric_curves
from sweep.plots.epoch_maps import frequency_epoch, learning_rate_epoch, metric_epoch, space_epoch
from sweep.plots.epochs_to_converge import epochs_to_converge
from sweep.plots.film import Film
from sweep.plots.fits import fits
from sweep.plots.growth import growth
from sweep.plots.outcome import outcome, share

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
    )
}
FILMS: Final[dict[str, Callable[..., Film]]] = {"growth": growth}
