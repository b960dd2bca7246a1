"""Run a page: `python -m sweep.run experiments/freq_principle.py`."""

import json
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
from typing import TYPE_CHECKING, Any

from sweep.base.cores import check_device_count
from sweep.base.errors import SweepError
from sweep.base.signals import Terminated, set_last_words
from sweep.base.text import name_places
from sweep.cli import streams
from sweep.cli.command import parse_known, parse_pairs, parse_size, run_command
from sweep.cli.optional import OptionalCount, OptionalPath, OptionalText
from sweep.cli.variation import ExperimentOptions, PageSource, Selection, select_experiment
from sweep.runs import compile_cache

if TYPE_CHECKING:
    import xarray as xr

    from sweep.cli.terminal import Terminal, Watcher
    from sweep.engine.plan import Plan
    from sweep.page.experiment import Experiment
    from sweep.results.store import Part
    from sweep.runs.executors.on_ray.messages import Ray

PROG = "python -m sweep.run"


@dataclass(frozen=True)
class Options(ExperimentOptions):
    """Train all lanes of a page, store labelled curves and draw its figures.

    Any field of the page's experiment can be overridden after the page: --epochs 500 --task.noise 0.1
    --axes.learning-rate 1e-4 1e-3 --optimizer.name sgd. PAGE --help lists the fields of a page.

    Args:
        figures_dir: where to save figures; by default figures/ and the page's name for an unmodified page,
            otherwise the store's folder; for a store in object storage NAME-figures in the working directory.
        plan: print lanes, blocks, programs, memory and a time estimate, with reasons, without training.
        resume: continue an incomplete store.
        fresh: move an existing store away and start again.
        grow: train what the page has more than its store: lanes or epochs. What is stored stays bit by bit as it is.
        part: train only a part of the lanes, such as 3/16 for the third of 16 parts; other processes, on any host, may
            train the others into the same store at the same time. The first makes the store, the last completes it and
            draws its figures. A part that was stopped or killed goes on with the same command.
        lane: train one stored lane again and print how far it is from the stored one: the lane with
            seed=3,learning_rate=1e-3,width=64, or as many knobs as identify one lane. The store is only read.
            Exit code 1 if the numbers differ although everything that they depend on is the same.
        memory: budget for one wave, such as 2GiB; by default half of what is free.
        devices: use at most so many of this machine's devices, on CPU one for each core; by default all. Results are
            bitwise the same on any number. With --on ray so many for each worker.
        on: "ray" trains in several processes, on one or many machines, bitwise the same; needs the extra [ray].
        address: of the Ray cluster, such as auto or ray://host:10001; by default Ray is started on this machine alone.
        workers: how many processes train on Ray; by default one for each GPU, or without GPUs as many as have a
            place, each with as many cores as the smallest machine has.
        compile_cache: keep compiled programs in this folder for later runs, or "off". By default in sweep/ of the
            user's cache (XDG_CACHE_HOME or ~/.cache), if nobody else can write there: whoever can is able to run
            code in later runs. At most 256 MiB are kept.
        debug: show the traceback of an error.
    """

    figures_dir: OptionalPath = None
    plan: bool = False
    resume: bool = False
    fresh: bool = False
    grow: bool = False
    part: OptionalText = None
    lane: OptionalText = None
    memory: OptionalText = None
    devices: OptionalCount = None
    on: OptionalText = None
    address: OptionalText = None
    workers: OptionalCount = None
    compile_cache: OptionalPath = None
    debug: bool = False


def main(args: Sequence[str]) -> None:
    """Run what the command line asks for."""
    options, rest = _parse_options(args)
    _check_combination(options)
    part = None if options.part is None else _parse_part(options.part)
    memory = None if options.memory is None else parse_size(options.memory)
    compile_cache.use(options.compile_cache)  # before the page is loaded, which may import JAX
    selection = resolve(options, rest)
    if options.plan and options.grow:
        _show_growth(selection, options, memory)
    elif options.plan:
        _show_plan(selection, options, part, memory)
    elif options.lane is not None:
        _replay(selection, options, memory)
    else:
        _run(selection, options, part, memory, args)


def _check_combination(options: Options) -> None:
    """Refuse options that exclude each other."""
    if options.resume and options.fresh:
        raise SweepError("--resume and --fresh exclude each other: --resume continues, --fresh starts again")
    if options.grow and options.fresh:
        raise SweepError("--grow and --fresh exclude each other: --grow keeps what is stored, --fresh starts again")
    check_device_count(options.devices)
    _check_ray(options)
    if options.part is not None and options.fresh:
        raise SweepError(
            "--part and --fresh exclude each other: a part goes on with what is there; move the store away first, or "
            "name another one with --out"
        )
    if options.part is not None and options.grow:
        raise SweepError("--part and --grow exclude each other: let the store grow in one process, without --part")
    for name in ("resume", "fresh", "grow", "part", "plan", "figures_dir", "devices", "on"):
        if options.lane is not None and getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise SweepError(
                f"--lane trains one stored lane again, on one device, and stores and draws nothing: leave out {option}"
            )


def _check_ray(options: Options) -> None:
    """Refuse options of Ray without Ray, and what Ray does itself."""
    if options.on not in (None, "ray"):
        raise SweepError(f"--on takes ray, got {options.on!r}: leave it out to train in this process")
    for name in ("address", "workers"):
        if options.on is None and getattr(options, name) is not None:
            raise SweepError(f"--{name} is for workers on Ray: add --on ray, or leave it out")
    if options.on is not None and options.part is not None:
        raise SweepError("--part and --on exclude each other: Ray shares the waves among its workers itself")


def _parse_part(text: str) -> "Part":
    from sweep.results.store import Part

    return Part.parse(text)


def _parse_options(args: Sequence[str]) -> tuple[Options, list[str]]:
    """Parse the options that all pages have; with `PAGE --help`, the help is that of the page's fields."""
    if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
        raise SweepError(f"the page comes first, got {args[0]}: {PROG} PAGE [options]")
    wants_help = [arg for arg in args if arg in ("-h", "--help")]
    plain = [arg for arg in args if arg not in wants_help]
    if wants_help and plain and not plain[0].startswith("-"):
        options, rest = parse_known(Options, plain, PROG)
        return options, [*rest, "--help"]
    return parse_known(Options, args, PROG)


def resolve(options: Options, rest: Sequence[str]) -> Selection:
    """Load the page, apply `--smoke`, overrides and `--zoom`, and find the store."""
    return select_experiment(options, rest, f"{PROG} {options.page}")


def _show_plan(selection: Selection, options: Options, part: "Part | None", memory: int | None) -> None:
    from sweep.cli.terminal import Terminal, show_plan
    from sweep.runs.runner import load_jax

    load_jax()
    from sweep.runs.planning import check_effect

    plan = _plan(selection, options, part, memory)
    check_effect(plan)
    console = Terminal(highlight=False)
    show_plan(console, plan)
    if part is not None:
        from sweep.runs.parts import describe_share

        console.print(describe_share(plan, part))


def _plan(selection: Selection, options: Options, part: "Part | None", memory: int | None) -> "Plan":
    """Plan what the command would do, with the waves of the store if it is continued in parts."""
    from sweep.runs.executors.local import LocalExecutor
    from sweep.runs.parts import plan_part
    from sweep.runs.runner import executor_for

    if part is not None:
        return plan_part(selection.experiment, selection.store, part, LocalExecutor(memory, options.devices))
    with executor_for(selection.experiment, _ray(options, selection), memory, options.devices) as executor:
        return executor.plan(selection.experiment)


def _show_growth(selection: Selection, options: Options, memory: int | None) -> None:
    """Show what `--grow` would train."""
    from sweep.cli.terminal import Terminal, show_plan
    from sweep.results import store as stores
    from sweep.runs.runner import load_jax

    load_jax()
    from sweep.runs.growing import has_all, plan_growth
    from sweep.runs.planning import check_effect
    from sweep.runs.runner import executor_for

    console, store = Terminal(highlight=False), selection.store
    with executor_for(selection.experiment, _ray(options, selection), memory, options.devices) as executor:
        growth = plan_growth(selection.experiment, store, stores.check(store), executor)
    if growth is None:
        console.print(has_all(store), soft_wrap=True)
        return
    check_effect(growth.new)
    show_plan(console, growth.new, growth.stored_steps)


def _replay(selection: Selection, options: Options, memory: int | None) -> None:
    """Replay a lane; exit with code 1 if it differs from the stored one and no known reason explains that."""
    from sweep.cli.replay import replay_lane
    from sweep.cli.terminal import Terminal
    from sweep.runs.runner import load_jax

    load_jax()
    assert options.lane is not None
    wanted = parse_pairs("--lane", options.lane)
    console = Terminal(highlight=False)
    with _show_progress(console) as watch:
        expected = replay_lane(console, selection.experiment, selection.store, wanted, memory=memory, watch=watch)
    if not expected:
        raise SystemExit(1)


def _run(selection: Selection, options: Options, part: "Part | None", memory: int | None, args: Sequence[str]) -> None:
    from sweep.cli.terminal import Terminal, show_parent, show_shares, show_summary
    from sweep.plots.gallery import check_directory, choose_figures, default_directory, draw_figures
    from sweep.results.dataset import open_results
    from sweep.runs.runner import run_part

    import_module("sweep.plots")  # so that an error of matplotlib comes before hours of training
    store = selection.store
    if options.figures_dir is not None:
        check_directory(options.figures_dir, selection.experiment.figures)
    console = Terminal(highlight=False)
    streams.ignore_output_failures()

    def describe_stop() -> tuple[str, str]:
        again = [arg for arg in args if arg not in ("--fresh", "--resume")]
        again += [] if options.grow or part is not None else ["--resume"]
        where = name_places(str(store))
        stored = f"the results so far are in {where}" if store.exists() else "nothing was stored yet"
        return f"stopped; {stored}; to continue:", f"{_python()} -m sweep.run {shlex.join(again)}"

    set_last_words(describe_stop)
    if options.grow:
        _check_growing(selection)
    try:
        with _show_progress(console) as watch:
            if part is not None:
                how = {"memory": memory, "devices": options.devices, "attributes": selection.attributes, "watch": watch}
                if not run_part(selection.experiment, store, part, **how):
                    console.print(f"store    {store}", soft_wrap=True)
                    return
                ds = open_results(store)
            else:
                ds = _run_whole(
                    console, watch, selection.experiment,
                    out=store, resume=options.resume, fresh=options.fresh, grow=options.grow, memory=memory,
                    devices=options.devices, ray=_ray(options, selection), attributes=selection.attributes,
                )  # fmt: skip
        if not watch.called and ds.attrs["complete"]:
            message = f"{store} is complete: nothing to train, its figures are drawn again (--fresh trains again)"
            console.print(message, soft_wrap=True)
        directory = options.figures_dir or default_directory(store, selection.experiment.name, complete=True)
        with _say_what_is_saved(store):
            drawn = draw_figures(ds, choose_figures(ds, page_figures=selection.experiment.figures), directory)
        show_shares(console, watch.staff)
        show_summary(console, ds, store, drawn)
        show_parent(console, ds, store, f"{_python()} -m sweep.report")
    except (KeyboardInterrupt, Terminated):
        with suppress(OSError):  # the terminal was closed
            for line in describe_stop():
                console.print(line, soft_wrap=True)
        raise


def _ray(options: Options, selection: Selection) -> "Ray | None":
    """Return where the sweep runs on Ray, None if it runs in this process."""
    if options.on is None:
        return None
    from sweep.runs.executors.on_ray.messages import Ray

    source = PageSource(selection.attributes["page"], tuple(json.loads(selection.attributes["arguments"])))
    cache = "" if options.compile_cache is None else str(options.compile_cache)
    return Ray(options.address, options.workers, source, cache)


def _run_whole(console: "Terminal", watch: "Watcher", experiment: "Experiment", **how: Any) -> "xr.Dataset":
    """Run a sweep; if waves were given up, show first what each worker has done."""
    from sweep.cli.terminal import show_shares
    from sweep.runs.failures import WavesFailedError
    from sweep.runs.runner import run_sweep

    try:
        return run_sweep(experiment, watch=watch, **how)
    except WavesFailedError:
        show_shares(console, watch.staff)
        raise


def _check_growing(selection: Selection) -> None:
    """Say which store a variation of a page has, if it is another one than the page's that probably should grow."""
    from sweep.page.load import VARIATION, default_store

    own = default_store(selection.experiment.name.partition(VARIATION)[0])
    if not selection.store.exists() and selection.store != own and own.exists():
        raise SweepError(
            f"there is no store at {selection.store} that could grow, as overrides have a store of their own: to let "
            f"{own} grow, change the page, or add --out {own}"
        )


@contextmanager
def _say_what_is_saved(store: Path) -> Iterator[None]:
    """Add to an error in drawing that the results are saved."""
    try:
        yield
    except SweepError as error:
        raise SweepError(f"{error}; the results are saved in {store}: the same command draws them again") from error


@contextmanager
def _show_progress(console: "Terminal") -> "Iterator[Watcher]":
    """Show progress, and each warning as one line."""
    from sweep.cli.terminal import show_progress

    with warnings.catch_warnings(), show_progress(console) as watch:
        warnings.showwarning = lambda message, *_: console.print(f"note: {message}")
        yield watch


def _python() -> str:
    """Return the shortest command for this interpreter that works here: `make run` uses one that is not on the PATH."""
    if shutil.which("python") == sys.executable:
        return "python"
    relative = os.path.relpath(sys.executable)
    return shlex.quote(sys.executable if relative.startswith("..") else relative)


if __name__ == "__main__":
    run_command(main)
