"""Pages: loading one from its file, and the small version of one that shows everything works."""

import linecache
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import decode_source
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, Final

from sweep.base.errors import SweepError
from sweep.base.text import check_characters
from sweep.page.experiment import Experiment
from sweep.page.specs.record import log_spaced

EXPERIMENT: Final = "experiment"  # what a page defines
FULL: Final = "full"  # ... and where that is scaled down, the question as it was asked
VARIED: Final = "@"  # stands in the name of an experiment that differs from its page, before how it does
WORDED: Final = 80  # letters of a variation in words, beyond which it is called by a hash
SMOKE_LANES: Final = 8  # of one structure
SMOKE_EPOCHS: Final = 20
SMOKE_RECORDS: Final = 4  # beside record 0
SMOKE_POINTS: Final = 512  # where points are drawn: of a grid fewer need not show the page's frequencies


def load(page: str | Path, variable: str = EXPERIMENT) -> Experiment:
    """Load the `experiment` that a page defines.

    Args:
        page: path of a Python file.
        variable: `EXPERIMENT`, or `FULL` on pages that have both.

    Returns:
        The experiment, named for the path under `experiments/` without suffix (or the file's own name); "full"
        has "@full" behind that.

    Raises:
        SweepError: for a missing file, a name that no store can have, a page that raises, or one without such an
            experiment.
    """
    path = Path(page)
    if not path.is_file():
        raise SweepError(f"no page at {page}: give the path of a Python file such as experiments/freq_principle.py")
    if path.suffix != ".py":
        raise SweepError(f"{page} is not a Python file: give a page such as experiments/freq_principle.py")
    file, name = str(path.resolve()), page_name(path)
    _check_name(name)
    try:
        experiment = getattr(_execute(file), variable, None)
    except SweepError as error:
        raise SweepError(f"{page}: {error}") from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
        where = f"line {lines[-1]}" if lines else f"line {getattr(error, 'lineno', '?')}"
        raise SweepError(f"{page} raised {type(error).__name__} at {where}: {error}") from error
    if not isinstance(experiment, Experiment):
        if variable != EXPERIMENT:
            raise SweepError(f"{page} has no {variable!r} beside its experiment, which runs as it is asked already")
        raise SweepError(f"{page} defines no experiment: end it with `experiment = Experiment(...)`")
    varied = "" if variable == EXPERIMENT else f"{VARIED}{variable}"
    return replace(experiment, name=name + varied)


def _check_name(name: str) -> None:
    """Refuse a page's name that is that of a variation of another page, or of no folder."""
    check_characters("a page's name", name)
    if VARIED in name:
        *folders, last = name.split("/")
        wrong = next((f"the folder {folder}" for folder in folders if VARIED in folder), f"{last}.py")
        raise SweepError(f"a page's name can't have {VARIED} in it, which marks variations of a page: rename {wrong}")


def _execute(file: str) -> ModuleType:
    """Execute a page as a module of its own: always its present text, as bytecode caches go by whole seconds."""
    text = decode_source(Path(file).read_bytes())
    module = ModuleType("sweep_page_" + "_".join(Path(file).with_suffix("").parts[1:]))
    module.__file__ = file
    sys.modules[module.__name__] = module  # `inspect.getsource` of a class asks for it
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # what `inspect.getsource` reads
    exec(compile(text, file, "exec"), vars(module))
    return module


def page_name(path: Path) -> str:
    """Name a page by its path under the nearest `experiments/` folder, without suffix."""
    parts = path.resolve().with_suffix("").parts
    if "experiments" in parts[:-1]:
        at = len(parts) - 1 - parts[:-1][::-1].index("experiments") - 1
        return "/".join(parts[at + 1 :])
    return parts[-1]


def store_of(name: str) -> Path:
    """Give the store of a page, or of a variation of it, that is given no other: "results/questions/xor@smoke"."""
    return Path("results", name)


def older_store_of(name: str) -> Path:
    """Give the store that one of that name had before variations kept their "@": "results/questions/xor-smoke"."""
    return Path("results", name.replace(VARIED, "-"))


def in_words(changes: Mapping[str, Any], otherwise: str) -> str:
    """Say what is varied as it stands in the name of a folder: "epochs-500,task.noise-0.1".

    Args:
        changes: values by name: numbers, names, or tuples of them. Unlike values make unlike words.
        otherwise: what a variation is called that has no words, too many, or one that no name of a folder should have.
    """
    words = ",".join(f"{name}-{_word(value)}" for name, value in changes.items())
    return words if len(words) <= WORDED and re.fullmatch(r"[\w.,+-]+", words, re.ASCII) else otherwise


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return "-".join(map(_word, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def is_asked(name: str) -> bool:
    """Tell whether an experiment is what a page asks, as it stands or in full, and no toy or override of it."""
    return name.partition(VARIED)[2] in ("", FULL)


def smoke(experiment: Experiment) -> Experiment:
    """Shrink an experiment to seconds: the ends of each axis, few epochs, records and drawn points, every figure."""
    structural = {name for name, (_, knob) in experiment.knobs().items() if not knob.traced}
    task = experiment.task
    if task.placement == "random":
        task = replace(task, points=min(task.points, max(SMOKE_POINTS, experiment.batch_size or 0)))
    return replace(
        experiment,
        task=task,
        name=f"{experiment.name}{VARIED}smoke",
        axes=experiment.axes.ends(SMOKE_LANES, structural),
        epochs=min(experiment.epochs, SMOKE_EPOCHS),
        record=replace(experiment.record, at=log_spaced(SMOKE_RECORDS)),
    )
