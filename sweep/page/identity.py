"""What a page resolves to, as plain data, and the hash of the part of it that changes numbers.

The hash outlives changes of our own code: it leaves out fields at their declared defaults, so that a field more in a
spec changes no page's hash, and the modules of ours that a name is imported from, so that code of ours may move. It is
taken of the description alone, so that of an older store it is taken anew, of what is stored there.
"""

import functools
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from sweep.page.axes import Axes, Factor
from sweep.page.experiment import Experiment
from sweep.page.specs.model import MLP, FromModule
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Cadence, Metric, Record
from sweep.page.specs.stop import Halving, Target
from sweep.page.specs.task import FromFunction, Linear, Sine, SumOfSines, Table
from sweep.page.specs.window import Window

# Fields that say what the page is about, what is drawn or decided: runs that differ only here have equal numbers.
COSMETIC: Final = ("name", "question", "figures", "claims")
# The classes that an experiment is described by, cosmetic ones aside. To change a default of theirs, or a name, is to
# change the schema of stores: what is stored without the field would mean something else.
SPECS: Final = (
    Axes, Cadence, Experiment, Factor, FromFunction, FromModule, Halving, Linear, MLP, Metric, Optimizer, Record, Sine,
    SumOfSines, Table, Target, Window,
)  # fmt: skip
# Names of our modules and packages, former ones too. Where code lies is no part of what it is.
_WORDS: Final = (
    "alignment answers axes cells claim claims cli compare comparing comparison convergence cost curves devices "
    "differences differing dimensions distance document epoch_maps errors execute experiment export exporting "
    "figure film folder formats gallery growing heatmaps identity inputs intervals keys knobs labels lane_choice "
    "lane_tables lines long maps measures metric model models netcdf networks optim optimizer outcomes outputs "
    "overrides packing page pages places plan plane plot plots provenance record registry replay replaying report "
    "reporting results run runner scale seats section seeds session shape sheet signals sine spacing specs stats "
    "stop store style targets task tasks terminal tidy trackers train training_range unions variation verdicts "
    "view window zoom "
    "array_schema bounded_json check crash digests locks numerics owners repair restoring safe_files schema streams "
    "tables text unbatched whole_files "
    "__main__ array_checks attribute_checks base bokeh_models command dataset engine files html lanes load metrics "
    "optimizers page_differences permutation restore runs seed_statistics stopping summary verdict_tables version "
    "checks coordinator events executors local loss prepare program regression resolve training walk wave wave_writer "
    "layout planning progress own atomic_files"
)
MODULES: Final = frozenset(_WORDS.split())
_PATH: Final = rf"(?:\.(?:{'|'.join(sorted(MODULES))})\b)"
_IMPORTED: Final = re.compile(rf"\b(from|import)\s+sweep{_PATH}+(?!\.)")
_NAMED: Final = re.compile(rf"(?<![\w.])sweep{_PATH}+(?=\.\w)")


def describe(thing: Any) -> Any:
    """Turn a spec into JSON-able data; a function of the page's own becomes its source text."""
    if is_dataclass(thing) and not isinstance(thing, type):
        data = {f.name: describe(getattr(thing, f.name)) for f in fields(thing) if not f.name.startswith("_")}
        if isinstance(thing, Experiment) and thing.stop_better() == "higher":
            data["stop"]["better"] = "higher"  # stores from before this is said took the lower values for the better
        return {"kind": type(thing).__name__, **data}
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, tuple | list):
        return [describe(value) for value in thing]
    if callable(thing):
        return source(thing)
    return thing


def source(function: Callable[..., Any]) -> str:
    """Give the text that decides what a function computes.

    Args:
        function: of a page; a partial, a method, a class or a callable object will do.

    Returns:
        Its source, and after it, line by line, the constants, defaults and helpers of its own module that it
        uses, theirs too. Of anything imported from elsewhere only the name counts, and of a function of ours too.
    """
    home = _home(function)
    return "\n".join(_Reader(None if _is_ours(home) else home).read(function))


def _home(thing: Any) -> str | None:
    """Name the module that a function, class or object is of."""
    inner = thing.func if isinstance(thing, functools.partial) else inspect.unwrap(thing)
    return getattr(inner, "__module__", None)


def _is_ours(home: str | None) -> bool:
    return home is not None and home.partition(".")[0] == "sweep"


class _Reader:
    """Writes down functions with what they use, each once.

    Args:
        home: the module whose functions and classes are read; those of others are named.
    """

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._seen: set[int] = set()

    def read(self, thing: Any) -> Iterator[str]:
        """Write down something callable: its text, then what it uses."""
        if isinstance(thing, functools.partial):
            yield f"partial of {self._value(thing.func)} {self._value(thing.args)} {self._value(thing.keywords)}"
            return
        thing = inspect.unwrap(thing)
        if isinstance(thing, MethodType):
            yield f"method of {self._value(thing.__self__)}"
            thing = thing.__func__
        if not isinstance(thing, FunctionType | type):
            yield self._object(thing)
        elif _is_ours(_home(thing)):
            yield self._name(thing)
        elif id(thing) not in self._seen:
            self._seen.add(id(thing))
            yield self._text(thing)
            for name, value in sorted(_names_used(thing).items()):
                if not isinstance(value, ModuleType):
                    yield f"{name}: {self._value(value)}"

    def _value(self, value: Any) -> str:
        """Write a value down by what it holds, never by its address."""
        if type(value) in SPECS:
            return json.dumps(_lasting_form(describe(value)), sort_keys=True)
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{self._value(k)}: {self._value(v)}' for k, v in value.items())}}}"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self._value, value)))}}}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(map(self._value, value))}]"
        if hasattr(value, "__array__") and not isinstance(value, type | np.generic):
            array = np.asarray(value)
            held = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
            return f"{array.dtype} array of shape {array.shape}, SHA-256 {hashlib.sha256(held).hexdigest()[:16]}"
        if callable(value):
            return "\n".join(self.read(value)) if _is_read(value, self._home) else self._name(value)
        return self._object(value)

    def _object(self, thing: Any) -> str:
        """Write down an object: as it prints, else its class and fields where these are the page's own."""
        told = repr(thing)
        if " at 0x" not in told and not callable(thing):
            return told
        own = getattr(type(thing), "__module__", None) == self._home or is_dataclass(thing)
        if not own or not hasattr(thing, "__dict__") or id(thing) in self._seen:
            return self._name(thing)
        self._seen.add(id(thing))
        return "\n".join([*self.read(type(thing)), self._value(vars(thing))])

    def _text(self, thing: Any) -> str:
        """Give the source of a function or class, or its name and bytecode where no text can be had."""
        try:
            return textwrap.dedent(inspect.getsource(thing))
        except (OSError, TypeError):
            return f"{self._name(thing)} {_bytecode(getattr(thing, '__code__', None))}"

    def _name(self, thing: Any) -> str:
        """Name a function or class by its place, any other object by its class and the name it may have."""
        named = thing if hasattr(thing, "__qualname__") else type(thing)
        module = "page" if named.__module__ == self._home else named.__module__  # a page's own tells its folder
        return f"{module}.{named.__qualname__} {getattr(thing, '__name__', '')}".strip()


def _is_read(value: Any, home: str | None) -> bool:
    """Tell whether something callable is of the page's own, or a partial, which may hold something of its own."""
    return isinstance(value, functools.partial) or _home(value) == home


def _bytecode(constant: Any) -> str:
    """Write down code, and the constants in it, in words that are the same in every process."""
    if isinstance(constant, CodeType):
        return f"{constant.co_code.hex()} {constant.co_names} {[_bytecode(each) for each in constant.co_consts]}"
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _names_used(thing: FunctionType | type) -> dict[str, Any]:
    """Find the globals, closed-over variables and defaults of a function; bases and those of methods of a class."""
    if isinstance(thing, type):
        found = {base.__name__: base for base in thing.__bases__}
        members = [getattr(m, "__func__", None) or getattr(m, "fget", m) for m in vars(thing).values()]
        methods = [inspect.unwrap(m) for m in members if callable(m)]
        return functools.reduce(dict.__or__, [_names_used(m) for m in methods if isinstance(m, FunctionType)], found)
    names = {name for name in _names(thing.__code__) if not name.startswith("__")}  # of a page's file nothing counts
    found = {name: value for name, value in thing.__globals__.items() if name in names}
    for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
        with suppress(ValueError):  # a name that is not bound yet
            found[name] = cell.cell_contents
    defaults = {"defaults": thing.__defaults__, "keyword defaults": thing.__kwdefaults__}
    return found | {name: values for name, values in defaults.items() if values}


def _names(code: CodeType) -> Iterator[str]:
    """List the names that code mentions, in functions and classes inside it too."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def fingerprint(experiment: Experiment) -> str:
    """Hash what changes an experiment's numbers: 16 hexadecimal digits of SHA-256."""
    return fingerprint_of(describe(experiment))


def stored_fingerprint(attributes: Mapping[Any, Any]) -> str:
    """Hash what changes the numbers of a store, of whatever version, by what it says of its experiment.

    Args:
        attributes: of a store; where they do not describe an experiment, what they give as its hash is taken.
    """
    if "experiment" not in attributes:
        return str(attributes.get("fingerprint", ""))
    return fingerprint_of(json.loads(attributes["experiment"]))


def is_of(attributes: Mapping[Any, Any], told: str) -> bool:
    """Tell whether a store has a hash, be it as it is taken now or as it was when the store was made.

    Args:
        attributes: of the store.
        told: the hash, as another store may have it of this one (`parent`).
    """
    return bool(told) and told in (stored_fingerprint(attributes), attributes.get("fingerprint"))


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """Hash what changes numbers, as `fingerprint`, by an experiment's description alone.

    Args:
        description: as `describe` gives it, now or in any version before.
    """
    text = json.dumps(_numeric(description), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numeric(description: Mapping[str, Any]) -> dict[str, Any]:
    """Give of a description what changes numbers, in the form that lasts."""
    return _lasting_form({key: value for key, value in description.items() if key not in COSMETIC})


def _lasting_form(value: Any) -> Any:
    """Leave out of a description fields at their declared defaults, and the modules of ours that it mentions."""
    if isinstance(value, str):
        return _NAMED.sub("sweep", _IMPORTED.sub(r"\1 sweep", value))
    if isinstance(value, Mapping):
        kept = {key: _lasting_form(each) for key, each in value.items()}
        usual = defaults().get(str(value.get("kind")), {})
        return {key: each for key, each in kept.items() if key not in usual or each != _lasting_form(usual[key])}
    return [_lasting_form(each) for each in value] if isinstance(value, tuple | list) else value


def fill_defaults(value: Any) -> Any:
    """Put into a description, of any version, the fields that it leaves out as they are at their defaults."""
    if isinstance(value, Mapping):
        whole = {**defaults().get(str(value.get("kind")), {}), **value}
        return {key: fill_defaults(each) for key, each in whole.items()}
    return [fill_defaults(each) for each in value] if isinstance(value, tuple | list) else value


@functools.cache
def defaults() -> dict[str, dict[str, Any]]:
    """Give the declared defaults of every class of `SPECS`, described, by class and field."""
    return {spec.__name__: dict(_defaults(spec)) for spec in SPECS}


def _defaults(spec: type) -> Iterator[tuple[str, Any]]:
    for field in fields(spec):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and not field.name.startswith("_"):
            yield field.name, describe(default)


def differing_fields(experiment: Experiment, attributes: Mapping[str, Any]) -> str:
    """Say in what an experiment differs from that of a store, as far as it changes numbers; "" if in nothing.

    Args:
        experiment: the experiment as it is now.
        attributes: of a store.
    """
    stored, now = (_numeric(each) for each in (json.loads(attributes["experiment"]), describe(experiment)))
    names = sorted({*stored, *now}, key=[*describe(experiment), *stored].index)
    return ", ".join(name for name in names if now.get(name) != stored.get(name))
