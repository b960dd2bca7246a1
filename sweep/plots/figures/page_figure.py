"""A figure that a function of the page draws, with the style, question and caption of all other figures."""

import matplotlib
import xarray as xr
from matplotlib.figure import Figure as MatplotlibFigure

from sweep.base.errors import SweepError, blame
from sweep.page.specs.figure import Figure
from sweep.plots.drawing import style
from sweep.plots.drawing.sheet import figure_sheet
from sweep.plots.drawing.view import View
from sweep.results.dataset import lock_values


def draw_page_figure(ds: xr.Dataset, figure: Figure) -> MatplotlibFigure:
    """Call a page's function to draw on one panel.

    Args:
        ds: results.
        figure: a figure with a `function(axes, ds, **options)` that draws; it returns the title, or None for the
            figure's name in words.

    Raises:
        SweepError: for any exception of the function, and for a title that is not a text.
    """
    assert figure.function is not None
    with matplotlib.rc_context(style.settings()):
        sheet = figure_sheet(1)
        layout = sheet.figure.get_layout_engine()
        with blame(f"figure {figure.name!r}"):
            title = figure.function(sheet.panels[0], lock_values(ds), **figure.options)
            if title is not None and not isinstance(title, str):
                raise SweepError(f"figure {figure.name!r} must return its title or nothing, got {title!r}")
            if sheet.figure.get_layout_engine() is not layout:
                raise SweepError(f"figure {figure.name!r} changes the figure's layout: leave that out")
            rule = f"Drawn by {figure.name} of the page"
            drawn = sheet.finish(View(ds, ds, None, ()), title or style.words(figure.name), rule)
            drawn.draw_without_rendering()  # what the function has drawn may fail only here
        return drawn
