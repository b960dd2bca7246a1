"""A figure that a function of the page's own draws, with the look, question and caption of all others."""

import matplotlib
import xarray as xr
from matplotlib.figure import Figure as MatplotlibFigure

from sweep.base.errors import SweepError, blame
from sweep.page.specs.figure import Figure
from sweep.plots.drawing import style
from sweep.plots.drawing.sheet import whole_sheet
from sweep.plots.drawing.view import View


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
        sheet = whole_sheet(1)
        with blame(f"figure {figure.name!r}"):
            own = ds.copy()  # so that it changes nothing of others
            title = figure.function(sheet.panels[0], own, **figure.options)
        if title is not None and not isinstance(title, str):
            raise SweepError(f"figure {figure.name!r} must return its title or nothing, got {title!r}")
        rule = f"Drawn by {figure.name} of the page"
        return sheet.finish(View(ds, ds, None, ()), title or style.words(figure.name), rule)
