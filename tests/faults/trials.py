"""Trials: a command is called in this process, files before and after it are compared, and its outcome is judged."""

import contextlib
import gc
import importlib
import importlib.util
import io
import multiprocessing  # noqa: F401  (notes the folder of its first import, to which its children go)
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

OUTCOMES = ("right", "refused", "silent", "internal", "hang", "litter", "untidy")
FAULTS = ("silent", "internal", "hang", "litter", "untidy")
KEPT = {"lock"}  # files whose dates and sizes are ignored, since the holder of a store writes them


@dataclass(frozen=True)
class Trial:
    """One trial and how it ended.

    Args:
        name: what was tried, enough to find it in its campaign again.
        outcome: one of `OUTCOMES`: "right" (the right numbers), "refused" (code 2, one line, nothing changed), "silent"
            (code 0 with other numbers or files), "internal" (code 1), "hang", "litter" (files left or changed on
            refusal), "untidy" (another code, another number of lines, or nothing to go on with).
        detail: what was seen.
        seconds: how long it took.
    """

    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Case:
    """A case: `run(folder)` in a new folder returns outcome and detail."""

    name: str
    run: Callable[[Path], tuple[str, str]]


@dataclass(frozen=True)
class Campaign:
    """Cases of one kind.

    Args:
        name: as `--campaign` takes it.
        about: one line for the table.
        cases: `cases(folder, random)` prepares what all cases share in a folder and lists them all.
        quick: how many of them `make test` takes.
        sample: how many `make test-faults` takes.
        missing: says why it can't be run here, "" where it can.
    """

    name: str
    about: str
    cases: Callable[[Path, Random], Sequence[Case]]
    quick: int
    sample: int
    missing: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Reply:
    """The reply of a command: exit code (None if it hung), standard output, standard error."""

    code: int | None
    out: str
    err: str

    def lines(self) -> list[str]:
        """List the lines of standard error."""
        return [line for line in self.err.splitlines() if line.strip()]

    def brief(self) -> str:
        """Describe it in one line."""
        return f"code {self.code}: {' / '.join(self.lines())[:400]}"


class HangError(BaseException):
    """The time for a call is over; no `except Exception` may swallow it."""


def command(name: str) -> Callable[[Sequence[str]], object]:
    """Find a command's main function; "open" is `open_results`."""
    if name == "open":
        return lambda args: importlib.import_module("sweep.results.dataset").open_results(args[0])
    module = f"sweep.{name}" if name in ("run", "plot", "check", "merge") else f"sweep.{name}.__main__"
    return importlib.import_module(module).main


def has(name: str) -> bool:
    """Tell whether a command exists."""
    return importlib.util.find_spec(f"sweep.{name}") is not None


def call(name: str, args: Sequence[str], *, cwd: Path, seconds: float = 30.0) -> Reply:
    """Call a command in process, as its main block would, in a folder that is its HOME too."""
    import matplotlib.font_manager  # noqa: F401  (it writes a cache to HOME, which must not be that of a trial)

    from sweep.cli.command import run_guarded

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _at_home(cwd), warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of pytest, each once
        try:
            with within(seconds * busy()):
                code = run_guarded(command(name), list(args))
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except HangError:
            release_pipes(cwd)
            code = None
        gc.collect()  # so that libraries print warnings of unfinished tasks now, as at the end of a process
    return Reply(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _at_home(cwd: Path) -> Iterator[None]:
    before, home, width = os.getcwd(), os.environ.get("HOME"), os.environ.get("COLUMNS")
    os.chdir(cwd)
    os.environ |= {"HOME": str(cwd), "COLUMNS": "100"}
    try:
        yield
    finally:
        os.chdir(before)
        for key, value in (("HOME", home), ("COLUMNS", width)):
            os.environ.pop(key, None)
            os.environ |= {} if value is None else {key: value}


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `HangError` in the main thread when the time is over, repeatedly if it is swallowed."""

    def over(number: int, frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def busy() -> float:
    """Return the factor by which work takes longer here than on idle cores."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def release_pipes(folder: Path) -> None:
    """Release threads that wait for a writer of a pipe, by letting them read its end."""
    for path in folder.rglob("*"):
        if path.is_fifo():
            with contextlib.suppress(OSError):
                writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
                time.sleep(0.05)
                os.close(writer)


Tree = dict[str, tuple[object, ...]]


def tree(folder: Path) -> Tree:
    """Note everything under a folder: kind, size and date of each file, the target of each link."""
    found: Tree = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            about = path.lstat()
            place = str(path.relative_to(folder))
            if path.is_symlink():
                found[place] = ("link", os.readlink(path))
            elif name in folders or name in KEPT:
                found[place] = ("folder" if name in folders else "kept",)
            else:
                found[place] = ("file", about.st_size, about.st_mtime_ns)
    return found


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Name what is new, removed or changed; a lock that is new or removed is ignored."""
    return sorted(
        place for place in {*before, *after} if before.get(place) != after.get(place) and Path(place).name not in KEPT
    )


def refusal(reply: Reply, before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, str] | None:
    """Judge a reply that is not a success; return None for a success."""
    if reply.code == 0:
        return None
    if reply.code is None:
        return "hang", ""
    if reply.code == 1:
        return "internal", reply.brief()
    if reply.code != 2 or len(reply.lines()) != 1 or not reply.lines()[0].startswith("sweep: "):
        return "untidy", reply.brief()
    if left := changed(before, after):
        return "litter", f"{', '.join(left[:5])} after {reply.brief()}"
    return "refused", reply.lines()[0][:300]


def run_case(case: Case, folder: Path) -> Trial:
    """Run one case in a new folder; an exception of the harness itself is not caught."""
    begun = time.monotonic()
    folder.mkdir(parents=True)
    outcome, detail = case.run(folder)
    assert outcome in OUTCOMES, outcome
    return Trial(case.name, outcome, detail, time.monotonic() - begun)


def chosen(cases: Sequence[Case], count: int | None, random: Random) -> list[Case]:
    """Return a random sample of cases in their order; None takes all."""
    if count is None or count >= len(cases):
        return list(cases)
    return [cases[at] for at in sorted(random.sample(range(len(cases)), count))]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
