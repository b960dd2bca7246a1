"""Declarations by name: each name is declared once, and the function of each declaration exists."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from sweep.base.labels import METRICS
from sweep.base.registry import Entry
from sweep.export.formats import FORMATS
from sweep.page.specs import claim, figure
from sweep.page.specs.absent import NoModel, NoTask
from sweep.page.specs.activation import ACTIVATIONS
from sweep.page.specs.initializer import INITIALIZERS, Initializer
from sweep.page.specs.loss import LOSSES, BuiltInLoss
from sweep.page.specs.model import Model
from sweep.page.specs.optimizer import OPTIMIZERS, SCHEDULES
from sweep.page.specs.task import INPUTS, Task


def below(spec: type) -> Iterator[type]:
    """List the subclasses of a spec that sweep defines."""
    for each in spec.__subclasses__():
        if each.__module__.startswith("sweep."):
            yield each
            yield from below(each)


REGISTRIES = {
    "export formats": FORMATS,
    "figures": figure.KINDS,
    "activations": ACTIVATIONS,
    "claims' statistics": claim.STATISTICS,
    "heatmaps' statistics": figure.STATISTICS,
    "initialisers": INITIALIZERS,
    "inputs": INPUTS,
    "losses": LOSSES,
    "metrics": METRICS,
    "models": {kind.__name__: kind.functions for kind in below(Model) if kind is not NoModel},  # type: ignore[attr-defined]
    "optimisers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "tasks": {kind.__name__: kind.target_builder for kind in below(Task) if kind is not NoTask},  # type: ignore[attr-defined]
}
ENTRIES = [
    pytest.param(entry, id=f"{kind}: {name}") for kind, all_ in REGISTRIES.items() for name, entry in all_.items()
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_function_of_every_declaration_exists(entry: Entry) -> None:
    assert callable(entry.load())


def _told_apart(entry: Entry) -> object:
    """Initialisers share distributions, and differ in their variance; losses share values, and are means or sums."""
    if isinstance(entry, Initializer):
        return entry.variance(2.0, 3.0), entry.first and entry.first(2.0, 3.0)
    return entry.reduction if isinstance(entry, BuiltInLoss) else None


def test_no_two_names_stand_for_one_thing() -> None:
    told = [(entry.load(), _told_apart(entry)) for registry in REGISTRIES.values() for entry in registry.values()]
    assert [each for each in told if told.count(each) > 1] == []
    assert all(name == metric.name for name, metric in METRICS.items())


@pytest.mark.parametrize("kind", REGISTRIES)
def test_functions_that_read_results_are_in_folders_without_jax(kind: str) -> None:
    without_jax = {"export formats": ("sweep.export.",), "figures": ("sweep.plots.figures.",)}
    homes = ("sweep.stats.",) if "statistics" in kind else without_jax.get(kind, ("sweep.engine.", "jax."))
    assert all(entry.function.startswith(homes) for entry in REGISTRIES[kind].values())


def test_declarations_do_not_import_their_functions() -> None:
    modules = {entry.function.partition(":")[0] for registry in REGISTRIES.values() for entry in registry.values()}
    code = f"import sys, sweep.page.experiment; sys.exit(' '.join({modules} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_loss_of_classes_has_a_boundary() -> None:
    assert {name: loss.boundary for name, loss in LOSSES.items() if loss.of == "two classes"} == {
        "binary_cross_entropy": 0.5,
        "binary_cross_entropy_with_logits": 0.0,
        "hinge": 0.0,
    }
