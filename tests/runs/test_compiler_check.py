"""When the self-test runs: before the first plan, and not again where it has passed."""

import json
from pathlib import Path

import pytest
from helpers import tiny

from sweep.base.errors import SweepError
from sweep.runs import compiler_check
from sweep.runs.compiler_check import check_compiler
from sweep.runs.planning import plan_sweep


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """List the self-tests that run from now on, in a cache folder of their own."""
    found: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler_check, "self_test", found.append)
    compiler_check._check.cache_clear()
    yield found
    compiler_check._check.cache_clear()


def start_again() -> None:
    """Forget what this process knows, as the next one does."""
    compiler_check._check.cache_clear()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "sweep").glob("self-test-*.json"))


def test_it_runs_once_for_each_precision(runs, tmp_path):
    for _ in range(2):
        check_compiler("float32")
        check_compiler("float64")
        start_again()
    assert runs == ["float32", "float64"]
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("NUMBER", 99), ("consequential", lambda: ["--xla_some=1"]), ("list_options", lambda platform: ["some=1"]),
     ("kind_of_processor", lambda: "another")],
)  # fmt: skip
def test_it_runs_again_where_something_else_compiles(runs, monkeypatch, name, value):
    check_compiler("float32")
    monkeypatch.setattr(compiler_check, name, value)
    check_compiler("float32")
    assert runs == ["float32"] * 2


def test_what_fails_is_not_kept(runs, monkeypatch, tmp_path):
    def fail(precision):
        raise SweepError("wrong")

    monkeypatch.setattr(compiler_check, "self_test", fail)
    for _ in range(2):
        with pytest.raises(SweepError, match="wrong"):
            check_compiler("float32")
    assert not kept(tmp_path)


def test_a_file_with_another_content_does_not_count(runs, tmp_path):
    check_compiler("float32")
    (path,) = kept(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "jaxlib": "0.10.2"}))
    start_again()
    check_compiler("float32")
    assert runs == ["float32"] * 2


def test_without_a_folder_it_runs_in_every_process(runs, tmp_path):
    (tmp_path / "sweep").write_text("in the way")
    for _ in range(2):
        check_compiler("float32")
        start_again()
    assert runs == ["float32"] * 2


def test_a_full_disk_does_no_harm(runs, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler_check, "write_file", fail)
    check_compiler("float32")
    assert runs == ["float32"]


def test_a_plan_is_made_only_if_it_passes(runs, monkeypatch):
    plan_sweep(tiny(precision="float64"))
    assert runs == ["float64"]
    monkeypatch.setattr(compiler_check, "self_test", lambda precision: (_ for _ in ()).throw(SweepError("wrong")))
    with pytest.raises(SweepError, match="wrong"):
        plan_sweep(tiny())
