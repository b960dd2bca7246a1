"""What stands for task, model and optimiser on a page that has a training of its own: nothing is asked of them."""

from dataclasses import dataclass
from typing import Final

from sweep.page.specs.model import Model
from sweep.page.specs.task import Task
from sweep.page.specs.update_rule import UpdateRule
from sweep.page.specs.window import Window


@dataclass(frozen=True, kw_only=True)
class NoTask(Task):
    """No task: nothing of x, rows or targets. One point, so that an epoch is one step."""

    points: int = 1

    def window(self) -> Window | None:
        """Show nothing over x."""
        return None

    def has_noiseless_target(self) -> bool:
        """There is no target."""
        return False


@dataclass(frozen=True, kw_only=True)
class NoModel(Model):
    """No network that sweep knows."""


@dataclass(frozen=True)
class NoOptimizer(UpdateRule):
    """No optimiser that sweep knows."""

    def words(self) -> str:
        """Say so."""
        return "no optimizer"


NO_TASK: Final = NoTask()
NO_MODEL: Final = NoModel()
NO_OPTIMIZER: Final = NoOptimizer()
