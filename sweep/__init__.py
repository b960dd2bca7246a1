"""sweep: thousands of small trainings in one program, and heatmaps of how they converge.

Everything that a page needs, that runs it and that reads its results is imported from here. Each name is looked up on
first use, so that `import sweep` does not import JAX; `__init__.pyi` lists the names, their modules and so their types.
"""

import lazy_loader

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
# So that `from sweep import *` does not load matplotlib.
__all__ = [name for name in _names if name != "plots"]  # pyright: ignore[reportUnsupportedDunderAll]
