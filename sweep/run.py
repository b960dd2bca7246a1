"""Run a page: `python -m sweep.run experiments/freq_principle.py`."""

import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from sweep.cli import guarded, parse_known
from sweep.errors import SweepError
from sweep.signals import Terminated

if TYPE_CHECKING:
    from sweep.experiment import Experiment

PROG = "python -m sweep.run"


@dataclass(frozen=True)
class Options:
    """Train all lanes of a page, store labelled curves and draw its figures.

    Any field of the page's experiment can be overridden behind the page: --epochs 500 --task.noise 0.1
    --axes.learning-rate 1e-4 1e-3 --optimizer.name sgd. PAGE --help lists the fields of a page.

    Args:
        page: a Python file that defines `experiment`.
        out: the store; by default results/ and the page's name (smoke runs and overrides get their own).
        figures_dir: where to save figures; by default figures/ and the page's name for a page as it is,
            the store's folder otherwise.
        full: the question as it was asked, on pages that scale it down by default.
        smoke: toy size: the ends of each axis, at most 20 epochs and 5 records, every figure.
        plan: print lanes, blocks, programs, memory and a time estimate, and why, without training.
        resume: go on with an incomplete store.
        fresh: move a store that is in the way aside and start anew.
        memory: budget for one wave, such as 2GiB; by default half of what is free.
        compile_cache: keep compiled programs in this folder for later runs on this machine; whoever can write
            there can run code in them, so name one of your own, such as ~/.cache/sweep. Some hosts with AVX-512
            reject what they kept (jax#38445) and compile anew.
        debug: show the traceback of an error.
    """

    page: tyro.conf.Positional[Path]
    out: Path | None = None
    figures_dir: Path | None = None
    full: bool = False
    smoke: bool = False
    plan: bool = False
    resume: bool = False
    fresh: bool = False
    memory: str | None = None
    compile_cache: Path | None = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Run what the command line asks for."""
    options, rest = _options(args)
    if options.resume and options.fresh:
        raise SweepError("--resume and --fresh exclude each other: --resume goes on, --fresh starts anew")
    memory = None if options.memory is None else to_bytes(options.memory)
    experiment, store = resolve(options, rest)
    if options.plan:
        _show_plan(experiment, memory)
    else:
        _run(experiment, store, options, memory, args)


def _options(args: Sequence[str]) -> tuple[Options, list[str]]:
    """Read the fixed options; `PAGE --help` is left to the page."""
    if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
        raise SweepError(f"the page comes first, got {args[0]}: {PROG} PAGE [options]")
    wants_help = [arg for arg in args if arg in ("-h", "--help")]
    plain = [arg for arg in args if arg not in wants_help]
    if wants_help and plain and not plain[0].startswith("-"):
        options, rest = parse_known(Options, plain, PROG)
        return options, [*rest, "--help"]
    return parse_known(Options, args, PROG)


def to_bytes(text: str) -> int:
    """Read a size such as "2GiB", "500MB" or "1e9".

    Raises:
        SweepError: for anything else.
    """
    units = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?) ?([a-z]*)", text.strip().lower())
    try:
        if found and found[2] in units and float(found[1]) > 0:
            return int(float(found[1]) * units[found[2]])
    except ValueError:
        pass
    raise SweepError(f"--memory must be a size such as 2GiB or 500MB, got {text!r}")


def resolve(options: Options, rest: Sequence[str]) -> tuple["Experiment", Path]:
    """Load the page, apply `--smoke` and overrides, and choose the store.

    Returns:
        The experiment and its store: `results/<page>`, with "-full" and "-smoke" for such runs and a short hash
        where overrides change numbers, so that the store of the page as it is stays as it is.
    """
    from sweep.identity import fingerprint
    from sweep.overrides import override
    from sweep.pages import EXPERIMENT, FULL, VARIED, folder_of, load, smoke

    page = load(options.page, FULL if options.full else EXPERIMENT)
    page = smoke(page) if options.smoke else page
    experiment = override(page, rest, f"{PROG} {options.page}") if rest else page
    if fingerprint(experiment) != fingerprint(page):
        experiment = replace(experiment, name=f"{page.name}{VARIED}{fingerprint(experiment)[:8]}")
    return experiment, options.out or Path("results", folder_of(experiment.name))


def _show_plan(experiment: "Experiment", memory: int | None) -> None:
    from sweep.runner import plan_sweep
    from sweep.terminal import Terminal, show_plan

    show_plan(Terminal(highlight=False), plan_sweep(experiment, memory))


def _run(experiment: "Experiment", store: Path, options: Options, memory: int | None, args: Sequence[str]) -> None:
    from sweep.devices import keep_compiled
    from sweep.gallery import check_directory, default_directory, draw_figures, wanted
    from sweep.runner import run_sweep
    from sweep.terminal import Terminal, show_summary, watching

    if options.figures_dir is not None:
        check_directory(options.figures_dir)
    if options.compile_cache is not None:
        keep_compiled(options.compile_cache.expanduser())
    console = Terminal(highlight=False)
    try:
        with warnings.catch_warnings(), watching(console) as watch:
            warnings.showwarning = lambda message, *_: console.print(f"note: {message}")
            ds = run_sweep(
                experiment, out=store, resume=options.resume, fresh=options.fresh, memory=memory, watch=watch
            )
    except (KeyboardInterrupt, Terminated):
        again = [arg for arg in args if arg not in ("--fresh", "--resume")]
        there = f"what there is lies in {store}" if store.exists() else "nothing was stored yet"
        console.print(f"stopped; {there}; this goes on:", soft_wrap=True)
        console.print(f"{_python()} -m sweep.run {shlex.join(again)} --resume", soft_wrap=True)
        raise
    if not watch.called:
        console.print(f"{store} is complete: nothing to train, its figures are drawn again (--fresh trains anew)")
    directory = options.figures_dir or default_directory(store, experiment.name, complete=True)
    drawn = draw_figures(ds, wanted(ds), directory)
    show_summary(console, ds, store, drawn)


def _python() -> str:
    """Name this interpreter as a shell here would find it: `make run` uses one that is not on the path."""
    if shutil.which("python") == sys.executable:
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near


if __name__ == "__main__":
    code = guarded(main)
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        os._exit(code)  # a compilation that was left behind must not hold the process back
