"""Figures from labelled results: `figures` has a module for each family, `drawing` the tools they are drawn with.

Figures are imported from here: `heatmap`, of any two dimensions of an array, and those that a page chooses by name
(`FIGURES` and `FILMS` of `registry`), each a function of results. They are imported on first use, so that one module
can be imported without the others; no module has the name of a figure, since it would hide the figure. `gallery`
chooses the figures of a store and saves them.

Imports `compare`, `stats` and what these import, and no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sweep.base.errors import SweepError
from sweep.page.specs.figure import KINDS

if TYPE_CHECKING:  # what an editor knows of them
    from sweep.plots.figures.convergence import epochs_to_converge as epochs_to_converge
    from sweep.plots.figures.epoch_maps import frequency_epoch as frequency_epoch
    from sweep.plots.figures.epoch_maps import learning_rate_epoch as learning_rate_epoch
    from sweep.plots.figures.epoch_maps import metric_epoch as metric_epoch
    from sweep.plots.figures.epoch_maps import space_epoch as space_epoch
    from sweep.plots.figures.growing import growth as growth
    from sweep.plots.figures.heatmaps import heatmap_film as heatmap_film
    from sweep.plots.figures.lines import curves as curves
    from sweep.plots.figures.lines import loss_curves as loss_curves
    from sweep.plots.figures.lines import metric_curves as metric_curves
    from sweep.plots.figures.networks import fits as fits
    from sweep.plots.figures.outcomes import outcome as outcome
    from sweep.plots.figures.outcomes import share as share
    from sweep.plots.figures.plane import heatmap as heatmap
    from sweep.plots.figures.samples import predicted as predicted
    from sweep.plots.figures.surfaces import surface as surface
    from sweep.plots.figures.surfaces import surface_error as surface_error

try:
    import matplotlib as matplotlib
except (OSError, ValueError) as error:  # when it is loaded it reads and writes the user's files
    raise SweepError(
        f"matplotlib can't be loaded with its settings ({error}): correct the file matplotlibrc, which may be named "
        f"by MATPLOTLIBRC, and make sure that MPLCONFIGDIR or TMPDIR names a folder that can be written"
    ) from error


def __getattr__(name: str) -> Any:
    if name == "heatmap":
        return import_module("sweep.plots.figures.plane").heatmap
    if name not in KINDS:
        raise AttributeError(f"module 'sweep.plots' has no attribute {name!r}")
    return KINDS[name].load()
