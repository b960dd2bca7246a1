"""Figures from labelled results: a module of `figures` for each family, drawn with what `drawing` holds.

Figures are imported from here: `heatmap`, of any two dimensions of an array, and those that a page picks by name
(`FIGURES` and `FILMS` of `registry`), each a function of results. They are looked up on first use, so that one
module can be imported without the others; no module has the name of a figure, which it would hide. `gallery` says
which of them a store calls for, and saves them.

Imports `compare`, `stats` and what these import, and no JAX.
"""

from importlib import import_module
from typing import Any

from sweep.base.errors import SweepError
from sweep.page.specs.figure import KINDS

try:
    import matplotlib as matplotlib
except (OSError, ValueError) as error:  # what it reads and writes when it is loaded is the user's own
    raise SweepError(
        f"matplotlib can't be loaded with its settings ({error}): mend the file matplotlibrc, which may be named by "
        f"MATPLOTLIBRC, and see that MPLCONFIGDIR or TMPDIR names a folder that can be written"
    ) from error


def __getattr__(name: str) -> Any:
    if name == "heatmap":
        return import_module("sweep.plots.figures.plane").heatmap
    if name not in KINDS:
        raise AttributeError(f"module 'sweep.plots' has no attribute {name!r}")
    return import_module("sweep.plots.registry").function_of(name)
