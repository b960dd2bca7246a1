"""A figure that a function of the page's own draws, with the look, question and caption of all others."""

import matplotlib
import xarray as xr
from matplotlib.figure import Figure as MatplotlibFigure

from sweep.base.errors import SweepError, blame
from sweep.page.specs.figure import Figure
from sweep.plots import style
from sweep.plots.sheet import finish, sheet
from sweep.plots.view import View


def draw_own(ds: xr.Dataset, figure: Figure) -> MatplotlibFigure:
    """Have a page's function draw on one panel.

    Args:
        ds: results.
        figure: whose `function(axes, ds, **options)` draws; what it returns is the title, None its name in words.

    Raises:
        SweepError: for whatever the function raises, and for a title that is no text.
    """
    assert figure.function is not None
    with matplotlib.rc_context(style.settings()):
        made, (axes,) = sheet(1)
        with blame(f"figure {figure.name!r}"):
            title = figure.function(axes, ds.copy(), **figure.options)  # a copy, so that it changes nothing of others
        if title is not None and not isinstance(title, str):
            raise SweepError(f"figure {figure.name!r} must return its title or nothing, got {title!r}")
        rule = f"Drawn by {figure.name} of the page"
        return finish(made, View(ds, ds, None, ()), title or style.words(figure.name), rule)
