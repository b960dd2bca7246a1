"""What a page is written in: frozen dataclasses of numbers and names, checked when they are made, without JAX."""

from sweep.specs.claim import AtLeast, AtMost, Between, Claim
from sweep.specs.figure import Figure
from sweep.specs.model import MLP, FromModule, Model
from sweep.specs.optimizer import Optimizer
from sweep.specs.record import Metric, Record, every, linear_spaced, log_spaced
from sweep.specs.stop import Halving, Target
from sweep.specs.task import XOR, FromFunction, Linear, Sine, SumOfSines, Table, Task
from sweep.specs.window import Window

__all__ = [
    "MLP",
    "XOR",
    "AtLeast",
    "AtMost",
    "Between",
    "Claim",
    "Figure",
    "FromFunction",
    "FromModule",
    "Halving",
    "Linear",
    "Metric",
    "Model",
    "Optimizer",
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
