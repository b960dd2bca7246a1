"""sweep: thousands of small trainings in one program, and the heatmaps of how they converge.

The public names; each is imported on first use, so that `import sweep` imports no JAX. What is needed less often
is in its room: `uniform` and `log_uniform`, the ranges of `sampled`, in `sweep.axes`; the cadences `every` and
`linear_spaced` in `sweep.specs`; medians and the like over seeds, lost lanes counted, in `sweep.stats`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

_HOME: Final = {
    "Experiment": "sweep.experiment",
    "Figure": "sweep.specs",
    "FromFunction": "sweep.specs",
    "FromModule": "sweep.specs",
    "Linear": "sweep.specs",
    "MLP": "sweep.specs",
    "Metric": "sweep.specs",
    "Optimizer": "sweep.specs",
    "Record": "sweep.specs",
    "Sine": "sweep.specs",
    "SumOfSines": "sweep.specs",
    "SweepError": "sweep.errors",
    "epochs_to": "sweep.stats",
    "grid": "sweep.axes",
    "load": "sweep.pages",
    "log_spaced": "sweep.specs",
    "open_results": "sweep.results",
    "run_sweep": "sweep.runner",
    "sampled": "sweep.axes",
    "zipped": "sweep.axes",
}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("sweep-lanes")
    if name not in _HOME:
        raise AttributeError(f"module 'sweep' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
