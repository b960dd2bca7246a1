"""The parts of a page: frozen dataclasses of numbers and names, checked on construction, without JAX."""

from sweep.page.specs.claim import AtLeast, AtMost, Between, Claim
from sweep.page.specs.data import Data
from sweep.page.specs.dimension import Dimension
from sweep.page.specs.figure import Figure
from sweep.page.specs.loss import Loss
from sweep.page.specs.model import MLP, FromModule, Model
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Metric, Record, every, linear_spaced, log_spaced
from sweep.page.specs.stop import Halving, Plateau, Target
from sweep.page.specs.task import XOR, FromFunction, Linear, Sine, SumOfSines, Table, Task
from sweep.page.specs.training import FromTraining
from sweep.page.specs.update_rule import FromOptax
from sweep.page.specs.window import Window

__all__ = [
    "MLP",
    "XOR",
    "AtLeast",
    "AtMost",
    "Between",
    "Claim",
    "Data",
    "Dimension",
    "Figure",
    "FromFunction",
    "FromModule",
    "FromOptax",
    "FromTraining",
    "Halving",
    "Linear",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Plateau",
    "Record",
    "Sine",
    "SumOfSines",
    "Table",
    "Target",
    "Task",
    "Window",
    "every",
    "linear_spaced",
    "log_spaced",
]
