"""Runs for TensorBoard and for Weights & Biases, written with their own libraries."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from shutil import rmtree
from time import time
from typing import Any, Final

import xarray as xr

from sweep.export import folder
from sweep.export.cells import Cell, cells

# wandb reads these on import: "offline" in `init` alone would be too late to stop its error reports.
_OFFLINE: Final = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}


def write_tensorboard(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write a folder for `tensorboard --logdir`: a run for each cell, with its knobs and final numbers under HParams.

    Args:
        ds: results.
        metrics: names of the metrics.
        out: the folder to write.
        say: called with notes on how many runs there are, and what is left out.

    Raises:
        SweepError: if no metric gives curves.
    """
    from tensorboardX.event_file_writer import EventsWriter  # SummaryWriter's thread hangs if the disk is full
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  (created on import)
    from tensorboardX.summary import hparams, scalar

    logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)  # it warns of every +inf, which here is a lost lane
    out.mkdir()
    for cell in cells(ds, metrics, say):
        (out / cell.name).mkdir()
        writer: Any = EventsWriter(str(out / cell.name / "events"))
        for step, summary in chain(((0, each) for each in hparams(cell.knobs, cell.final)), _scalars(cell, scalar)):
            writer.write_event(Event(wall_time=time(), step=step, summary=summary))
        writer.close()
    folder.write_manifest(out, ds, "tensorboard")


def _scalars(cell: Cell, scalar: Callable[[str, float], Any]) -> Iterator[tuple[int, Any]]:
    """Give the points of a cell's curves, and its final numbers, each with its step."""
    for name, curve in cell.curves.items():
        yield from (
            (step, scalar(name, value)) for step, value in zip(cell.steps.tolist(), curve.tolist(), strict=True)
            if value == value
        )  # fmt: skip
    yield from ((int(cell.steps[-1]), scalar(name, value)) for name, value in cell.final.items())


def write_wandb(ds: xr.Dataset, metrics: Sequence[str], out: Path, say: Callable[[str], object]) -> None:
    """Write a folder of offline runs, which `wandb sync` can upload; nothing is sent from here.

    Otherwise as `write_tensorboard`.
    """
    os.environ.update(_OFFLINE, WANDB_CACHE_DIR=str(out / "cache"))
    import wandb  # pyright: ignore[reportMissingImports]  (not in the development environment)

    out.mkdir()
    quiet = wandb.Settings(
        mode="offline", silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True,
        disable_code=True, x_save_requirements=False, reinit="finish_previous",
    )  # fmt: skip
    project = str(ds.attrs.get("name", "sweep")).replace("/", "-")
    for cell in cells(ds, metrics, say):
        run = wandb.init(dir=out, project=project, name=cell.name, config=cell.knobs, settings=quiet)
        run.define_metric("*", step_metric="epoch")
        for place, (step, epoch) in enumerate(zip(cell.steps.tolist(), cell.epochs.tolist(), strict=True)):
            values = {name: float(curve[place]) for name, curve in cell.curves.items()}
            run.log({"epoch": epoch} | {name: value for name, value in values.items() if value == value}, step=step)
        run.summary.update(cell.final)
        run.finish()
    wandb.teardown()
    rmtree(out / "cache", ignore_errors=True)
    for stray in (*(out / "wandb").glob("*.log"), out / "wandb" / "latest-run"):
        stray.unlink(missing_ok=True)
    for logs in (out / "wandb").glob("*/logs"):  # of the library, some of them links to other folders
        rmtree(logs)
    folder.write_manifest(out, ds, "wandb-offline")
