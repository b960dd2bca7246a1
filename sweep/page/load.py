"""Loading a page from its file, its name and default store, and its small variation for smoke tests."""

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

EXPERIMENT: Final = "experiment"  # the variable that a page defines
FULL: Final = "full"  # the variable of a page's unreduced experiment, where `experiment` is scaled down
VARIATION: Final = "@"  # in the name of a variation: stands between the page's name and the difference
MAX_DESCRIPTION: Final = 80  # characters of a variation in words; if there are more, a hash is taken
SMOKE_LANES: Final = 8  # of one structure
SMOKE_EPOCHS: Final = 20
SMOKE_RECORDS: Final = 4  # in addition to record 0
PAGE_MODULE: Final = "sweep_page_"  # how the names of modules begin that pages are loaded as; none can be imported
SMOKE_POINTS: Final = 512  # only for randomly drawn points: a coarser grid might not resolve the page's frequencies


def load(page: str | Path, variable: str = EXPERIMENT) -> Experiment:
    """Load the `experiment` that a page defines.

    Args:
        page: path of a Python file.
        variable: `EXPERIMENT`, or `FULL` on pages that have both.

    Returns:
        The experiment. Its name is the path under `experiments/` without suffix (elsewhere the file's name), with
        "@full" appended for `FULL`.

    Raises:
        SweepError: for a missing file, a name that no store can have, a page that raises, or a page without this
            variable.
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
            raise SweepError(f"{page} defines no {variable!r}: its experiment is not scaled down")
        raise SweepError(f"{page} defines no experiment: end it with `experiment = Experiment(...)`")
    varied = "" if variable == EXPERIMENT else f"{VARIATION}{variable}"
    return replace(experiment, name=name + varied)


def _check_name(name: str) -> None:
    """Refuse a page's name that could be the name of a variation, or that no folder can have."""
    check_characters("a page's name", name)
    if VARIATION in name:
        *folders, last = name.split("/")
        wrong = next((f"the folder {folder}" for folder in folders if VARIATION in folder), f"{last}.py")
        raise SweepError(f"a page's name can't have {VARIATION} in it, which marks its variations: rename {wrong}")


def _execute(file: str) -> ModuleType:
    """Execute a page as a new module, from its source and not from a bytecode cache, which may be a second old."""
    text = decode_source(Path(file).read_bytes())
    module = ModuleType(PAGE_MODULE + "_".join(Path(file).with_suffix("").parts[1:]))
    module.__file__ = file
    sys.modules[module.__name__] = module  # `inspect.getsource` looks up classes here
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # `inspect.getsource` reads text here
    exec(compile(text, file, "exec"), vars(module))
    return module


def page_name(path: Path) -> str:
    """Name a page by its path under the nearest `experiments/` folder, without suffix."""
    parts = path.resolve().with_suffix("").parts
    if "experiments" in parts[:-1]:
        at = len(parts) - 1 - parts[:-1][::-1].index("experiments") - 1
        return "/".join(parts[at + 1 :])
    return parts[-1]


def default_store(name: str) -> Path:
    """Return the default store of a page or a variation, such as "results/questions/xor@smoke"."""
    return Path("results", name)


def older_default_store(name: str) -> Path:
    """Return the default store of older versions, which wrote "-" for "@": "results/questions/xor-smoke"."""
    return Path("results", name.replace(VARIATION, "-"))


def describe_changes(changes: Mapping[str, Any], otherwise: str) -> str:
    """Describe changed values for the name of a folder: "epochs-500,task.noise-0.1".

    Args:
        changes: values by name: numbers, names, or tuples of them. Different values have different descriptions.
        otherwise: what is returned if the description is empty, too long, or has characters unfit for a folder's name.
    """
    words = ",".join(f"{name}-{_word(value)}" for name, value in changes.items())
    return words if len(words) <= MAX_DESCRIPTION and re.fullmatch(r"[\w.,+-]+", words, re.ASCII) else otherwise


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        joint = "+" if any(isinstance(each, str) and "-" in each for each in value) else "-"
        return joint.join(map(_word, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def is_unmodified(name: str) -> bool:
    """Tell from its name whether an experiment is a page's own, `FULL` included, and not a variation."""
    return name.partition(VARIATION)[2] in ("", FULL)


def smoke(experiment: Experiment) -> Experiment:
    """Shrink an experiment so that it runs in seconds: few values on each axis, few epochs, records and points."""
    structural = {name for name, (_, knob) in experiment.knobs().items() if not knob.traced}
    task = experiment.task
    if task.placement == "random":
        task = replace(task, points=min(task.points, max(SMOKE_POINTS, experiment.batch_size or 0)))
    return replace(
        experiment,
        task=task,
        name=f"{experiment.name}{VARIATION}smoke",
        axes=experiment.axes.keep_ends(SMOKE_LANES, structural),
        epochs=min(experiment.epochs, SMOKE_EPOCHS),
        record=replace(experiment.record, at=log_spaced(SMOKE_RECORDS)),
    )
