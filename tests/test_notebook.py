"""The notebook runs from its first cell to its last in a new kernel, and its committed outputs can be read."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs/notebook.ipynb"
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


def outputs(notebook):
    """Return each code cell's outputs as (types, text)."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shown = [(" ".join(sorted(out.data)), out.data["text/plain"]) for out in cell.outputs if "data" in out]
            found.append(shown + [("stream", out.text) for out in cell.outputs if out.output_type == "stream"])
    return found


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def kinds(notebook):
    """Return the types of output of each code cell."""
    return [[kind for kind, _ in shown] for shown in outputs(notebook)]


def execute(folder, epochs=1000):
    """Run it in an empty folder, for fewer epochs if you like; a cell that fails raises."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = cell.source.replace("epochs=1000", f"epochs={epochs}")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)
        patch.setenv("PYTHONPATH", str(ROOT))
        client = nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    assert not list(folder.iterdir())  # and leaves nothing behind
    return notebook


@pytest.mark.slow
def test_the_notebook_answers_its_question(committed, tmp_path):
    executed = execute(tmp_path)
    assert kinds(committed) == kinds(executed)
    found = outputs(executed)
    texts = "\n".join(text for shown in found for _, text in shown)
    assert "finished    64" in texts
    law = next(text for shown in reversed(found) for _, text in shown)
    assert law.split()[:6] == ["value", "low", "high", "seeds", "unknown", "left_out"]
    rows = re.findall(r"^(\d+) +(\S+) +(\S+) +(\S+) +8 +0 ", law, flags=re.MULTILINE)
    assert [width for width, *_ in rows] == ["16", "64"]
    for _, value, low, high in rows:
        assert 0.5 < float(low) <= float(value) <= float(high) < 3
    assert sum("image/png" in kinds for shown in found for kinds, _ in shown) == 2


def test_the_committed_outputs_are_those_of_a_run(committed, tmp_path):
    """Numbers differ between machines, and with the epochs; the types of output of each cell do not."""
    assert kinds(committed) == kinds(execute(tmp_path, epochs=100))


def test_the_notebook_is_small_and_holds_nothing_of_the_machine_it_ran_on(committed):
    text = NOTEBOOK.read_text()
    assert len(text) < 300_000
    words = json.dumps(json.loads(text)["cells"])
    for cell in committed.cells:
        for out in cell.get("outputs", ()):
            words = words.replace(json.dumps(out.get("data", {}).get("image/png", "no picture"))[1:-1], "")
    assert not re.findall(r"(?:/home|/root|/tmp|/Users|/work|site-packages|[A-Z]:\\\\)[/\\\w]*", words)
    assert [cell.id for cell in committed.cells] == [f"cell-{number:02d}" for number in range(len(committed.cells))]
    assert not any(cell.metadata for cell in committed.cells)  # no times, no state of an editor
