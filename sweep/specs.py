"""The parts of a page: frozen dataclasses of numbers and names, checked when they are made."""

from sweep.page.specs import *  # noqa: F403
from sweep.page.specs import __all__ as __all__
