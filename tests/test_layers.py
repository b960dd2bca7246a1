"""The house's drawing, checked: who may import whom, and that the reading wing and the ground know no JAX."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sweep"
JAX = {"jax", "jaxlib", "flax", "optax"}

GROUND = {
    "errors", "labels", "axes", "shape", "experiment", "pages", "identity", "signals", "places", "outputs", "spacing",
    "text", "zoom",
} | {
    f"specs.{path.stem}" for path in (PACKAGE / "specs").glob("*.py") if path.stem != "__init__"
}  # fmt: skip
READING = {
    "alignment", "comparing", "comparison", "differences", "differing", "lane_tables",
    "results", "store", "stats", "measures", "gallery", "intervals", "verdicts", "answers", "distance", "lane_choice",
    "seeds", "exporting", "reporting",
} | {
    f"reporting.{path.stem}" for path in (PACKAGE / "reporting").glob("*.py") if path.stem != "__init__"
} | {
    f"exporting.{path.stem}" for path in (PACKAGE / "exporting").glob("*.py") if path.stem != "__init__"
} | {
    f"plots.{path.stem}" for path in (PACKAGE / "plots").glob("*.py") if path.stem != "__init__"
}  # fmt: skip
DOORS = {"compare", "export", "report", "run", "plot", "claims"}
COMPUTING = {
    "keys": 0, "sine": 0, "tasks.inputs": 1, "tasks.targets": 1, "tasks": 2, "models": 2, "optim": 2, "record": 3,
    "train": 4, "cost": 5, "stop": 5, "plan": 6, "seats": 7, "provenance": 7, "execute": 8, "curves": 9,
    "session": 10, "devices": 0, "runner": 11, "replay": 12,
}  # fmt: skip
DOOR_HELP = {"cli", "overrides", "terminal", "replaying", "variation"}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or "__init__"] = path
    return found


def imports(path: Path, *, at_load: bool) -> set[str]:
    """List imported modules: those at load time, or those inside functions too; never those for type checkers."""
    tree = ast.parse(path.read_text())
    skipped = {
        node
        for top in ast.walk(tree)
        if isinstance(top, ast.If) and ast.unparse(top.test) == "TYPE_CHECKING"
        for node in ast.walk(top)
    }
    nodes = tree.body if at_load else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own(names: set[str]) -> set[str]:
    known = modules()
    stripped = {name.removeprefix("sweep.") for name in names if name.startswith("sweep.")}
    return {name for name in stripped if name in known}


def test_every_module_has_a_place_in_the_drawing() -> None:
    placed = GROUND | READING | DOORS | DOOR_HELP | set(COMPUTING) | {"__init__", "specs", "plots"}
    assert set(modules()) == placed


@pytest.mark.parametrize("name", sorted(GROUND | READING | {"specs", "plots"}))
def test_the_ground_and_the_reading_wing_never_import_jax_or_the_computing_wing(name: str) -> None:
    names = imports(modules()[name], at_load=False)
    assert not {each.split(".")[0] for each in names} & JAX
    assert not own(names) & (set(COMPUTING) | DOORS)


@pytest.mark.parametrize("name", sorted(GROUND | {"specs"}))
def test_the_ground_imports_nothing_above_it(name: str) -> None:
    assert own(imports(modules()[name], at_load=False)) <= GROUND | {"specs"}


@pytest.mark.parametrize("name", sorted(COMPUTING))
def test_arrows_in_the_computing_wing_go_down(name: str) -> None:
    for below in own(imports(modules()[name], at_load=False)) & set(COMPUTING):
        assert COMPUTING[below] < COMPUTING[name], f"{name} imports {below}"


@pytest.mark.parametrize("name", sorted(set(modules()) - DOORS))
def test_nothing_imports_a_door(name: str) -> None:
    assert not own(imports(modules()[name], at_load=False)) & DOORS


@pytest.mark.parametrize(
    "module",
    [
        "sweep",
        "sweep.run",
        "sweep.plot",
        "sweep.claims",
        "sweep.export",
        "sweep.results",
        "sweep.stats",
        "sweep.plots.registry",
    ],
)
def test_importing_a_door_or_the_reading_wing_loads_no_jax(module: str) -> None:
    code = f"import sys, {module}; sys.exit(' '.join({JAX} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
