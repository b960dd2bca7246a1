"""The command `python -m sweep.plot`."""

import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import AXES, results

from sweep import plot
from sweep.base.errors import SweepError
from sweep.cli.command import run_guarded


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A store that opens as synthetic results."""
    import sweep.results.dataset

    def opened(path):
        if path != Path("store"):
            raise SweepError(f"no store at {path}")
        return results(AXES).isel(width=0, drop=True)

    monkeypatch.setattr(sweep.results.dataset, "open_results", opened)
    monkeypatch.chdir(tmp_path)


def run(capsys, *args):
    """Run the command; return its exit code and its standard error."""
    code = run_guarded(plot.main, args)
    return code, capsys.readouterr().err


@pytest.mark.usefixtures("store")
def test_plot_draws_the_named_figures_and_prints_the_files(capsys, tmp_path):
    assert run_guarded(plot.main, ["store", "--only", "curves", "loss_curves", "--out", "f"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [f"f/{name}.{kind}" for name in ("curves", "loss_curves") for kind in ("png", "svg")]
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == sorted(Path(each).name for each in printed)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["other"], "no store at other"),
        (["store", "--only", "curve"], "unknown figure 'curve': did you mean 'curves'?"),
        (["store", "--only", "epochs_to_converge"], "figure 'epochs_to_converge' needs 'width'"),
        (["store", "--out", "/dev/null/f"], "cannot write figures to /dev/null/f"),
        (["store", "--onyl", "f"], "did you mean --only?"),
        ([], "PATH"),
    ],
)
def test_every_refusal_is_one_line_and_code_two(capsys, args, message):
    code, error = run(capsys, *args)
    assert code == 2
    assert error.startswith("sweep: ")
    assert message in error
    assert error.count("\n") == 1
    assert not set(error) & set("╭│─")


@pytest.mark.usefixtures("store")
def test_figures_replace_figures_and_nothing_else(capsys, tmp_path):
    command = ["store", "--only", "loss_curves", "--out", "f"]
    assert run_guarded(plot.main, command) == 0
    drawn = (tmp_path / "f/loss_curves.svg").read_bytes()
    assert run_guarded(plot.main, command) == 0
    (tmp_path / "f/loss_curves.png").write_text("a thesis")
    (tmp_path / "f/loss_curves.svg").unlink()
    code, error = run(capsys, *command)
    assert code == 2
    assert "f/loss_curves.png holds something that this command did not write" in error
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["loss_curves.png"]
    assert (tmp_path / "f/loss_curves.png").read_text() == "a thesis"
    assert run_guarded(plot.main, [*command, "--force"]) == 0
    assert (tmp_path / "f/loss_curves.svg").read_bytes() == drawn


@pytest.mark.usefixtures("store")
def test_a_film_replaces_an_older_one(capsys):
    command = ["store", "--only", "growth", "--out", "f"]
    assert [run_guarded(plot.main, command) for _ in range(2)] == [0, 0]


@pytest.mark.usefixtures("store")
def test_print_is_pdf_and_svg(capsys):
    command = ["store", "--only", "loss_curves", "--out", "f", "--form", "print"]
    assert [run_guarded(plot.main, command) for _ in range(2)] == [0, 0]
    assert capsys.readouterr().out.split()[:2] == ["f/loss_curves.pdf", "f/loss_curves.svg"]


@pytest.mark.usefixtures("store")
def test_debug_shows_the_traceback(capsys):
    code, error = run(capsys, "other", "--debug")
    assert code == 2
    assert "Traceback" in error
    assert error.splitlines()[-1] == "sweep: no store at other"


def test_help_loads_no_slow_library_and_drawing_needs_no_jax():
    """A fresh interpreter, because here everything is loaded."""
    check = (
        "import sys, sweep.plot\n"
        "heavy = {'xarray', 'matplotlib', 'scipy', 'zarr', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import sweep.plots.registry, sweep.stats, sweep.plots.gallery\n"
        "heavy = {'jax', 'jaxlib', 'flax', 'optax', 'matplotlib.pyplot', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
