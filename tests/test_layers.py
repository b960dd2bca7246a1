"""Which folder may import which: rules that every import statement is checked against, also those in functions."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sweep"
JAX = {"jax", "jaxlib", "flax", "optax"}

# What each folder may import in addition to itself.
MAY_IMPORT = {
    "base": set(),
    "files": {"base"},
    "page": {"base", "files"},
    "engine": {"base", "page"},
    "results": {"base", "files", "page"},
    "runs": {"base", "files", "page", "engine", "results"},
    "stats": {"base", "page", "results"},
    "compare": {"base", "page", "results", "stats"},
    "claims": {"base", "files", "page", "results", "stats"},
    "plots": {"base", "files", "page", "results", "stats", "compare"},
    "report": {"base", "files", "page", "results", "stats", "claims", "plots"},
    "export": {"base", "files", "page", "results", "stats"},
}
KNOW_JAX = {"engine", "runs"}
ABOVE_ALL = {"cli"}  # what commands share; may import any folder
FACES = {"__init__", "axes", "measures", "seeds", "specs"}  # public names of what lies in a folder
COMMANDS = {"__main__", "check", "merge", "plot", "run"}  # ... and `__main__` of a folder


@cache
def modules() -> dict[str, Path]:
    """Find all modules by their names below `sweep`; `__init__` has the name of its folder."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or "__init__"] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """List what a module imports, also in functions, except imports for type checkers only."""
    tree = ast.parse(path.read_text())
    unseen = {
        node
        for top in ast.walk(tree)
        if isinstance(top, ast.If) and ast.unparse(top.test) == "TYPE_CHECKING"
        for node in ast.walk(top)
    }
    names: set[str] = set()
    for node in set(ast.walk(tree)) - unseen:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def own(path: Path) -> frozenset[str]:
    """List the modules of sweep that a module imports, by their longest names."""
    known = modules()
    names = {name.removeprefix("sweep.") for name in imports(path) if name.startswith("sweep.")}
    found = {name for name in names if name in known}
    return frozenset(name for name in found if not any(other.startswith(f"{name}.") for other in found))


def folder(name: str) -> str:
    return name.partition(".")[0]


def is_command(name: str) -> bool:
    return name in COMMANDS or name.endswith(".__main__")


INSIDE = {name: path for name, path in modules().items() if not is_command(name) and name not in FACES}


def test_the_root_holds_only_folders_commands_and_public_names() -> None:
    assert {folder(name) for name in modules()} == {*MAY_IMPORT, *ABOVE_ALL, *FACES, *COMMANDS}


@pytest.mark.parametrize("package", sorted({*MAY_IMPORT, *ABOVE_ALL}))
def test_a_folder_documents_its_content_and_its_imports(package: str) -> None:
    text = importlib.import_module(f"sweep.{package}").__doc__ or ""
    assert len(text.strip().splitlines()) >= 3
    assert "mport" in text


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_folder_imports_only_what_is_allowed(package: str) -> None:
    for name, path in INSIDE.items():
        if folder(name) == package:
            reached = {folder(each) for each in own(path)} - {package}
            assert reached <= MAY_IMPORT[package], f"{name} imports {', '.join(sorted(reached - MAY_IMPORT[package]))}"


def test_folders_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter(MAY_IMPORT).prepare()


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter({name: own(path) for name, path in modules().items()}).prepare()


@pytest.mark.parametrize("package", sorted(set(MAY_IMPORT) - KNOW_JAX))
def test_a_folder_without_computing_never_imports_jax(package: str) -> None:
    for name, path in INSIDE.items():
        if folder(name) == package:
            assert not {folder(each) for each in imports(path)} & JAX, name


def test_the_engine_knows_a_training_and_only_blocks_know_which() -> None:
    known = {"engine.training", "engine.keys", "engine.page_code"}
    for name, path in INSIDE.items():
        engine = {each for each in own(path) if folder(each) == "engine"}
        if name.startswith("engine.regression"):
            assert {each for each in engine if not each.startswith("engine.regression")} <= known, name
        elif name != "engine.blocks":
            assert not [each for each in engine if each.startswith(("engine.regression", "engine.page_training"))], name


def test_what_figures_are_drawn_with_knows_no_figure_and_a_figure_no_gallery() -> None:
    for name, path in INSIDE.items():
        below, figures = name.startswith("plots.drawing"), name.startswith("plots.figures")
        plots = {each for each in own(path) if folder(each) == "plots"} if below or figures else set()
        known = ("plots.drawing",) if below else ("plots.drawing", "plots.figures")
        assert all(each.startswith(known) for each in plots), name


def test_no_module_imports_a_command() -> None:
    for name, path in modules().items():
        assert not [each for each in own(path) if is_command(each)], name


def test_no_module_imports_the_public_names() -> None:
    """The public names are second names; inside the package each thing has only one."""
    for name, path in INSIDE.items():
        direct = {each.removeprefix("sweep.") for each in imports(path) if each.count(".") == 1}
        assert not own(path) & FACES, name
        assert {each for each in direct if f"sweep.{each}" in imports(path)} <= {*MAY_IMPORT, *ABOVE_ALL}, name


def test_only_commands_import_cli() -> None:
    for name, path in INSIDE.items():
        assert folder(name) in ABOVE_ALL or "cli" not in {folder(each) for each in own(path)}, name


WITHOUT_JAX = (
    "sweep", "sweep.run", "sweep.plot", "sweep.claims.__main__", "sweep.export.__main__", "sweep.results.dataset",
    "sweep.stats", "sweep.plots.registry", "sweep.runs.runner",
)  # fmt: skip


def test_importing_commands_and_readers_of_results_loads_no_jax() -> None:
    """One process imports all of them, and says of each what had been loaded by then."""
    code = "\n".join(f"import {name}; print({name!r}, *{JAX} & sys.modules.keys())" for name in WITHOUT_JAX)
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [*WITHOUT_JAX], done.stderr
