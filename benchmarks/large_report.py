"""A report of 10^5 cells in a real browser: `python -m benchmarks.large_report`, which `make bench-report` runs.

Chromium opens a report of 4 seeds x 317 rates x 316 widths. Times are of the browser's own clock: until the report
is ready (the shortest of three), and from an action until the next frame is drawn (the longest of three).
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import tyro
import xarray as xr
from playwright.sync_api import (  # pyright: ignore[reportMissingImports]  (not in the development environment)
    Page,
    sync_playwright,
)

from benchmarks import report
from sweep.base import labels
from sweep.report.document import report as document

TURNS: Final = 3
LOAD, ACTION = 3000, 200  # goals in milliseconds
ARGS: Final = ("--headless=new", "--no-sandbox", "--disable-gpu")
READY: Final = "new Promise((done) => { const ask = () => sweepReport?.isReady ? done(performance.now()) : setTimeout(ask, 5); ask(); })"  # noqa: E501
ACTIONS: Final = {
    "another epoch": "s.set({at: {epoch: 3 + turn}})",
    "another statistic": "s.set({statistic: ['upper', 'lower', 'median'][turn % 3]})",
    "select a cell": "s.choose([100 + turn, 100])",
    "hover over a cell": "s.hover([50 + turn, 50], {x: 99, y: 99})",
    "other axes": "s.set({x: ['epoch', 'width'][turn % 2], y: 'learning_rate'})",
    "select a rectangle": "s.brush({x0: 0, x1: 60 + turn, y0: 0, y1: 60})",
}


def results() -> xr.Dataset:
    """Make 10^5 cells of 4 seeds, with 41 records of the loss."""
    rng = np.random.default_rng(0)
    coords = {
        "seed": np.arange(4),
        "learning_rate": np.geomspace(1e-4, 1, 317),
        "width": np.geomspace(1, 1000, 316),
        "epoch": np.unique(np.concatenate([[0], np.geomspace(1, 1000, 40).round()])),
    }
    sizes = tuple(map(len, coords.values()))
    speed = coords["learning_rate"][:, None, None] * coords["width"][:, None] / 100
    loss = np.exp(-np.minimum(speed * coords["epoch"], 20) + 0.3 * rng.standard_normal(sizes))
    ds = xr.Dataset(
        {
            "loss": (tuple(coords), loss.astype(np.float32), labels.METRICS["loss"].attributes()),
            "status": (tuple(coords)[:-1], np.full(sizes[:-1], labels.FINISHED, np.int8)),
        },
        coords,
        {"name": "large", "question": "Where does training end?", "complete": 1},
    )
    ds["epoch"].attrs = labels.DIMENSIONS["epoch"].attributes()
    return ds


def measure(page: Page, address: str) -> dict[str, float]:
    """Measure milliseconds until the report is ready, and those of each action."""
    loads = []
    for _ in range(TURNS):
        page.goto(address)
        loads.append(page.evaluate(READY))
    return {"open": min(loads)} | {name: _act(page, action) for name, action in ACTIONS.items()}


def _act(page: Page, action: str) -> float:
    return page.evaluate(
        f"""(async () => {{
          const s = sweepReport.sections['0'], took = [];
          for (let turn = 0; turn < {TURNS}; turn++) {{
            const start = performance.now();
            await {action};
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            took.push(performance.now() - start);
          }}
          return Math.max(...took);
        }})()"""
    )


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        file = Path(folder) / "report.html"
        file.write_text(document({Path(folder) / "store": results()}), encoding="utf-8")
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGS))
        found = measure(browser.new_page(viewport={"width": 1400, "height": 950}), file.as_uri())
        browser.close()
    goals = {"open": LOAD}
    rows = [(name, str(goals.get(name, ACTION)), f"{value:.0f}") for name, value in found.items()]
    print(report.table(("a report of 10^5 cells", "goal, ms", "ms"), rows))


if __name__ == "__main__":
    tyro.cli(main)
