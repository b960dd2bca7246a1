"""Run a page: `python -m sweep.run experiments/freq_principle.py`."""

import os
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.base.errors import SweepError
from sweep.base.signals import Terminated, set_last_words
from sweep.cli import streams
from sweep.cli.command import command, pairs, parse_known, to_bytes
from sweep.cli.variation import Choice, Chosen, chosen

if TYPE_CHECKING:
    from sweep.cli.terminal import Terminal, Watcher
    from sweep.page.experiment import Experiment

PROG = "python -m sweep.run"


@dataclass(frozen=True)
class Options(Choice):
    """Train all lanes of a page, store labelled curves and draw its figures.

    Any field of the page's experiment can be overridden behind the page: --epochs 500 --task.noise 0.1
    --axes.learning-rate 1e-4 1e-3 --optimizer.name sgd. PAGE --help lists the fields of a page.

    Args:
        figures_dir: where to save figures; by default figures/ and the page's name for a page as it is,
            the store's folder otherwise.
        plan: print lanes, blocks, programs, memory and a time estimate, and why, without training.
        resume: go on with an incomplete store.
        fresh: move a store that is in the way aside and start anew.
        lane: train one stored lane again and print how far it is from the stored one: the lane with
            seed=3,learning_rate=1e-3,width=64, or as many knobs as tell it from all others. The store is only read.
            Exit code 1 if the numbers differ although all that they depend on is the same.
        memory: budget for one wave, such as 2GiB; by default half of what is free.
        compile_cache: keep compiled programs in this folder for later runs on this machine; whoever can write
            there can run code in them, so name one of your own, such as ~/.cache/sweep. Some hosts with AVX-512
            reject what they kept (jax#38445) and compile anew.
        debug: show the traceback of an error.
    """

    figures_dir: Path | None = None
    plan: bool = False
    resume: bool = False
    fresh: bool = False
    lane: str | None = None
    memory: str | None = None
    compile_cache: Path | None = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Run what the command line asks for."""
    options, rest = _options(args)
    _refuse_together(options)
    memory = None if options.memory is None else to_bytes(options.memory)
    what = resolve(options, rest)
    _load_jax()
    if options.plan:
        _show_plan(what.experiment, memory)
    elif options.lane is not None:
        _replay(what, options, memory)
    else:
        _run(what, options, memory, args)


def _refuse_together(options: Options) -> None:
    """Refuse options that exclude each other."""
    if options.resume and options.fresh:
        raise SweepError("--resume and --fresh exclude each other: --resume goes on, --fresh starts anew")
    for name in ("resume", "fresh", "plan", "figures_dir"):
        if options.lane is not None and getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise SweepError(f"--lane trains one stored lane again and stores and draws nothing: leave out {option}")


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


def _load_jax() -> None:
    """Load JAX, which reads its settings then.

    Raises:
        SweepError: for a setting in the environment that it can't read.
    """
    try:
        import jax  # noqa: F401
    except ValueError as error:
        raise SweepError(f"JAX can't read a setting in the environment: {error}; unset or mend it") from error


def resolve(options: Options, rest: Sequence[str]) -> Chosen:
    """Load the page, apply `--smoke`, overrides and `--zoom`, and choose the store."""
    return chosen(options, rest, f"{PROG} {options.page}")


def _show_plan(experiment: "Experiment", memory: int | None) -> None:
    from sweep.cli.terminal import Terminal, show_plan
    from sweep.runs.planning import plan_sweep

    show_plan(Terminal(highlight=False), plan_sweep(experiment, memory))


def _replay(what: Chosen, options: Options, memory: int | None) -> None:
    """Replay a lane; leave with exit code 1 if it is another one than is stored, for no reason that is known."""
    from sweep.cli.replay import replay_lane

    assert options.lane is not None
    wanted = pairs("--lane", options.lane)
    console = _console(options)
    with _watching(console) as watch:
        alike = replay_lane(console, what.experiment, what.store, wanted, memory=memory, watch=watch)
    if not alike:
        raise SystemExit(1)


def _run(what: Chosen, options: Options, memory: int | None, args: Sequence[str]) -> None:
    from sweep.cli.terminal import show_family, show_summary
    from sweep.plots.gallery import check_directory, choose_figures, default_directory, draw_figures
    from sweep.runs.runner import run_sweep

    import_module("sweep.plots")  # refuses before hours of training if matplotlib can't be loaded
    store = what.store
    if options.figures_dir is not None:
        check_directory(options.figures_dir, what.experiment.figures)
    console = _console(options)
    streams.outlast()

    def stopped() -> tuple[str, str]:
        again = [arg for arg in args if arg not in ("--fresh", "--resume")]
        there = f"what there is lies in {store}" if store.exists() else "nothing was stored yet"
        return f"stopped; {there}; this goes on:", f"{_python()} -m sweep.run {shlex.join(again)} --resume"

    set_last_words(stopped)
    try:
        with _watching(console) as watch:
            ds = run_sweep(
                what.experiment, out=what.store, resume=options.resume, fresh=options.fresh, memory=memory,
                attributes=what.attributes, watch=watch,
            )  # fmt: skip
        if not watch.called:
            told = f"{store} is complete: nothing to train, its figures are drawn again (--fresh trains anew)"
            console.print(told, soft_wrap=True)
        directory = options.figures_dir or default_directory(store, what.experiment.name, complete=True)
        drawn = draw_figures(ds, choose_figures(ds, own=what.experiment.figures), directory)
        show_summary(console, ds, store, drawn)
        show_family(console, ds, store, f"{_python()} -m sweep.report")
    except (KeyboardInterrupt, Terminated):
        with suppress(OSError):  # the terminal has gone
            for line in stopped():
                console.print(line, soft_wrap=True)
        raise


def _console(options: Options) -> "Terminal":
    """Give the console to print on, compiled programs being kept where that is asked for."""
    from sweep.cli.terminal import Terminal
    from sweep.runs.devices import cache_compiled_programs

    if options.compile_cache is not None:
        cache_compiled_programs(options.compile_cache)
    return Terminal(highlight=False)


@contextmanager
def _watching(console: "Terminal") -> "Iterator[Watcher]":
    """Show progress, and warnings in a line each."""
    from sweep.cli.terminal import watching

    with warnings.catch_warnings(), watching(console) as watch:
        warnings.showwarning = lambda message, *_: console.print(f"note: {message}")
        yield watch


def _python() -> str:
    """Name this interpreter as a shell here would find it: `make run` uses one that is not on the path."""
    if shutil.which("python") == sys.executable:
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near


if __name__ == "__main__":
    command(main)
