"""sweep: thousands of small trainings in one program, and the heatmaps of how they converge.

All that a page is written in, and what runs it and reads its results, is imported from here. Each name is looked up on
first use, so that `import sweep` imports no JAX; which module it is of, and so its type, stands in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
# A page that imports all is not to load matplotlib.
__all__ = [name for name in _names if name != "plots"]  # pyright: ignore[reportUnsupportedDunderAll]
