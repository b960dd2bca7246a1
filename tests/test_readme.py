"""The README is right: its Python runs, and its files, make targets and options exist."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep import Experiment, FromModule, SumOfSines, grid
from sweep.page.axes import lay_out
from sweep.runs.planning import plan_sweep

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_page_and_the_lines_after_it_run(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    page, question = blocks("python")
    names: dict[str, object] = {}
    exec(page, names)
    experiment = names["experiment"]
    assert isinstance(experiment, Experiment)
    assert len(lay_out(experiment.axes)) == 24
    exec(question, names)
    answer = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in answer[1:4]] == ["8", "16", "32"]
    assert all(np.isfinite(float(line.split()[-1])) or line.endswith("inf") for line in answer[1:4])


def codes_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / document).read_text(), flags=re.DOTALL)


def test_the_equinox_module_of_the_document_on_networks_can_be_trained() -> None:
    pytest.importorskip("equinox")
    names: dict[str, Any] = {}
    exec(codes_of("networks.md")[1], names)
    model = FromModule(names["build"], width=4, slope=1.0)
    assert plan_sweep(Experiment(question="?", task=SumOfSines(points=16), model=model, axes=grid(slope=(1.0, 2.0))))


def experiment_of(document: str) -> Experiment:
    """Run the page in a document, its first code."""
    page, *_ = codes_of(document)
    names: dict[str, object] = {}
    exec(page, names)
    experiment = names["experiment"]
    assert isinstance(experiment, Experiment)
    return experiment


@pytest.mark.parametrize("document", ["networks.md", "training.md"])
def test_the_page_of_a_document_can_be_trained(document: str) -> None:
    assert plan_sweep(experiment_of(document)).lanes.columns


def test_the_metrics_of_the_document_on_metrics_are_those_that_they_state() -> None:
    plan = plan_sweep(experiment_of("metrics.md"))  # traces them
    trainings = [block.training for block, _ in plan.blocks()]
    assert {q.name for q in trainings[0].quantities()} >= {"sharpness", "loss_between", "distance", "curvature"}


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_that_a_document_names_exist(document: Path) -> None:
    named = set(
        re.findall(
            r"(?<![\w./])(?:sweep|tests|docs|benchmarks)/[\w./]*\.(?:py|js|md|txt|json)\b",
            document.read_text(),
        )
    )
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_page_is_ten_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 11


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE))))
def test_every_make_target_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_run_runs_the_page_and_make_test_runs_pytest_on_the_cpu() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for target, command in (
        ("run", "-m sweep.run experiments/freq_principle.py"),
        ("test", "JAX_PLATFORMS=cpu"),
    ):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert command in done.stdout


PROMISES = (ROOT / "docs" / "store.md").read_text()


@pytest.mark.parametrize("test", sorted(set(re.findall(r"`([a-z_/]+\.py::\w+|faults/[a-z_]+\.py)`", PROMISES))))
def test_every_promise_of_a_store_has_its_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}" in (ROOT / "tests" / file).read_text()


MODULES = {"run": "sweep.run", "plot": "sweep.plot", "merge": "sweep.merge"}


@pytest.mark.parametrize("command", ["compare", "run", "plot", "merge", "export", "report"])
def test_the_readme_lists_exactly_the_options_of_each_command(command: str) -> None:
    from dataclasses import fields
    from importlib import import_module

    module = import_module(MODULES.get(command, f"sweep.{command}.__main__"))
    options = {f"--{f.name.replace('_', '-')}" for f in fields(module.Options)}
    options -= {"--page", "--store", "--stores"}
    (line,) = re.findall(rf"^python -m sweep\.{command} [A-Z.]+ .*", README, flags=re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", line)) - {"--page"} == options - ({"--debug"} if command != "run" else set())
