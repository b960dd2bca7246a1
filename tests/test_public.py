"""The public names, and documents that repeat parts of the code."""

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sweep
import sweep.plots
from sweep.base.labels import METRICS
from sweep.page.specs.figure import KINDS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_public_name_is_documented() -> None:
    for name in sweep.__all__:
        assert inspect.getdoc(getattr(sweep, name)), name


def test_a_page_with_import_star_loads_no_slow_library() -> None:
    code = "from sweep import *; import sys; print(MLP.__name__, {'jax', 'matplotlib', 'scipy.stats'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "MLP set()\n", done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No sweep attribute gird"):
        sweep.gird  # noqa: B018


def test_no_public_function_has_the_name_of_a_module() -> None:
    """A module of the same name would hide the function once it is imported."""
    for path in [ROOT / "sweep", *(each.parent for each in (ROOT / "sweep").rglob("__init__.py"))]:
        package = importlib.import_module(".".join(path.relative_to(ROOT).parts))
        names = {*dir(package), *(KINDS if package is sweep.plots else ())}
        public = {name for name in names if not inspect.ismodule(getattr(package, name))}
        assert not public & {module.name for module in pkgutil.iter_modules(package.__path__)}, path


@pytest.mark.parametrize("module", ["axes", "measures", "plots", "seeds", "specs", "stats"])
def test_a_public_module_keeps_its_name(module: str) -> None:
    assert inspect.ismodule(getattr(sweep, module))
    assert importlib.import_module(f"sweep.{module}") is getattr(sweep, module)


USED = """
import sweep
from sweep import MLP, AtMost, Claim, Experiment, Halving, Sine, Window, every, grid, uniform, zipped

page = Experiment(question="q?", task=Sine(), model=MLP(width=8), axes=grid(seed=range(3)))
reveal_type(page.epochs)
reveal_type(grid(seed=range(3)) * zipped(width=(1, 2)))
reveal_type(sweep.run_sweep(page))
reveal_type(sweep.open_results("store")["loss"])
reveal_type(sweep.load("page.py"))
reveal_type(MLP().width)
reveal_type((Halving, Window, AtMost))
reveal_type(every)
reveal_type(uniform(0, 1))
reveal_type(sweep.stats.final)
reveal_type(sweep.seeds.power_law)
reveal_type(sweep.measures.radius)
reveal_type(sweep.specs.MLP)
reveal_type(sweep.SweepError("x").args)
reveal_type(sweep.__version__)
Experiment(question=3, task=Sine(), model=MLP(), axes=grid())
sweep.gird
"""
REVEALED = [
    "int", "Axes", "Dataset", "DataArray", "Experiment", "int", "tuple[type[Halving], type[Window], type[AtMost]]",
    "(steps: int) -> Cadence", "Range", "(ds: Dataset, name: str) -> DataArray",
    '(times: DataArray, dim: str = "frequency") -> Dataset',
    "(ds: Dataset, tolerance: float, centre: float = 0) -> DataArray", "type[MLP]", "tuple[Any, ...]", "str",
]  # fmt: skip


def test_every_public_name_has_its_type_in_an_editor(tmp_path: Path) -> None:
    """A type checker, and so an editor, knows the types in a user's script."""
    (tmp_path / "page.py").write_text(USED)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    diagnostics = [(each["severity"], each["message"]) for each in json.loads(done.stdout)["generalDiagnostics"]]
    types = [text for kind, text in diagnostics if kind == "information"]
    assert [re.sub(r'^Type of ".*" is "(.*)"$', r"\1", text, flags=re.DOTALL) for text in types] == REVEALED
    wrong = [text.splitlines()[0] for kind, text in diagnostics if kind == "error"]
    assert len(wrong) == 2
    assert wrong[0].startswith('Argument of type "Literal[3]" cannot be assigned to parameter "question"')
    assert wrong[1] == '"gird" is not a known attribute of module "sweep"'


def test_version_and_licence_are_the_same_in_every_file() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {PROJECT['version']}" in citation
    assert PROJECT["license"] == "Apache-2.0"
    assert "license: Apache-2.0" in citation
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_versions_of_jaxlib_that_miscompile_are_excluded() -> None:
    for package in ("jax", "jaxlib"):
        (line,) = [each for each in PROJECT["dependencies"] if re.match(rf"{package}\b", each)]
        assert "!=0.10.2" in line
    assert "==0.10.2" not in (ROOT / "constraints.txt").read_text()


def test_constraints_hold_only_names_versions_and_markers() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9_.\-\[\]]+==[\w.+]+( *; *[\w ()<>=.'\"]+)?( *#.*)?", line), line


def test_the_changelog_names_every_figure() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert all(f"`{name}`" in changelog for name in KINDS)


def test_no_metric_shares_a_name_with_another() -> None:
    assert len({quantity.long_name for quantity in METRICS.values()}) == len(METRICS)
