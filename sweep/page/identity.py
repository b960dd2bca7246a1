"""The description of an experiment as plain data, and the hash (fingerprint) of all of it that affects numbers.

The hash is stable under changes of sweep's own code. It leaves out fields at their declared defaults, so that a new
field in a spec changes no hash, and the modules of sweep that a name is imported from, so that code may move between
modules. It depends on the description alone, so that the hash of an older store can be computed again from what is
stored there.
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
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from sweep.page.axes import Axes, Factor
from sweep.page.experiment import Experiment
from sweep.page.specs.data import Data
from sweep.page.specs.dimension import Dimension
from sweep.page.specs.figure import Figure
from sweep.page.specs.loss import Loss
from sweep.page.specs.model import MLP, FromModule
from sweep.page.specs.optimizer import Optimizer
from sweep.page.specs.record import Cadence, Metric, Record
from sweep.page.specs.stop import Halving, Plateau, Target
from sweep.page.specs.task import FromFunction, Linear, Sine, SumOfSines, Table
from sweep.page.specs.training import FromTraining
from sweep.page.specs.update_rule import FromOptax
from sweep.page.specs.values import Values
from sweep.page.specs.window import Window

# Fields that do not affect numbers: runs that differ only in these have equal results.
COSMETIC: Final = ("name", "question", "figures", "claims")
_COSMETIC_WITHIN: Final[Mapping[str, tuple[str, ...]]] = {"Record": ("keep",)}  # the same, of specs of a page
# The classes in the description of an experiment, except those of cosmetic fields. Changing a default or a field name
# here means changing the schema of stores: a stored description without the field would mean something else.
SPECS: Final = (
    Axes, Cadence, Data, Dimension, Experiment, Factor, FromFunction, FromModule, FromOptax, FromTraining,
    Halving, Linear, Loss, MLP, Metric, Optimizer, Plateau,
    Record, Sine, SumOfSines, Table, Target, Window,
)  # fmt: skip
# Names that modules and packages of ours had, as stored descriptions may still tell them.
_FORMER: Final = (
    "answers array_checks array_schema attribute_checks comparing differences differing execute exporting models "
    "optim own pages replaying reporting restoring session train whole_files"
)


def _module_names(folder: Path) -> Iterator[str]:
    """List the modules and packages in a folder, without importing them."""
    for module in iter_modules([str(folder)]):
        yield module.name
        if module.ispkg:
            yield from _module_names(folder / module.name)


# Names of our modules and packages, former ones too. Where code lies is no part of what it is.
MODULES: Final = frozenset({*_module_names(Path(__file__).parents[1]), *_FORMER.split()})
_PATH: Final = rf"(?:\.(?:{'|'.join(sorted(MODULES))})\b)"
_IMPORTED: Final = re.compile(rf"\b(from|import)\s+sweep{_PATH}+(?!\.)")
_NAMED: Final = re.compile(rf"(?<![\w.])sweep{_PATH}+(?=\.\w)")


def describe(thing: Any) -> Any:
    """Turn a spec into data that JSON can hold; a function that the page defines becomes its source text."""
    if is_dataclass(thing) and not isinstance(thing, type):
        absent = thing.absent() if isinstance(thing, Experiment) else ()
        names = [f.name for f in fields(thing) if not f.name.startswith("_") and f.name not in absent]
        data = {name: describe(getattr(thing, name)) for name in names}
        if isinstance(thing, Experiment):
            for rule, described in zip(thing.rules(), _listed(data["stop"]), strict=True):
                if thing.better(rule.metric) == "higher":
                    described["better"] = "higher"  # older stores lack it, and in them lower values were better
        return {"kind": type(thing).__name__, **data}
    if isinstance(thing, Values):
        return thing.describe()
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, tuple | list):
        return [describe(value) for value in thing]
    if callable(thing):
        return source(thing)
    return thing


def _listed(described: Any) -> list[Any]:
    """List the descriptions of one thing or of several."""
    return described if isinstance(described, list) else [] if described is None else [described]


def page_attributes(experiment: Experiment) -> dict[str, str]:
    """Return the attributes of a store that describe the page; what affects no number may change without a new run."""
    return {
        "name": experiment.name,
        "question": experiment.question,
        "experiment": json.dumps(describe(experiment)),
        "figures": json.dumps([_describe_figure(each) for each in experiment.figures]),
    }


def _describe_figure(figure: Figure) -> dict[str, Any]:
    """Describe a figure of the page; "own" marks one that a function of the page draws, which no store holds."""
    described = {"name": figure.name, "options": dict(figure.options)}
    return described if figure.function is None else described | {"own": True}


def source(function: Callable[..., Any]) -> str:
    """Return the text that decides what a function computes.

    Args:
        function: a function of a page; also a partial, a method, a class or a callable object.

    Returns:
        Its source, followed line by line by the constants, defaults and helpers of its own module that it uses, and
        recursively by theirs. Of anything imported from elsewhere, functions of sweep included, only the name counts.
    """
    home = _module_of(function)
    return "\n".join(_Reader(None if _is_from_sweep(home) else home).read(function))


def _module_of(thing: Any) -> str | None:
    """Name the module that defines a function, class or object."""
    inner = thing.func if isinstance(thing, functools.partial) else inspect.unwrap(thing)
    return getattr(inner, "__module__", None)


def _is_from_sweep(home: str | None) -> bool:
    return home is not None and home.partition(".")[0] == "sweep"


class _Reader:
    """Writes functions as text, together with everything they use, each once.

    Args:
        home: the module whose functions and classes are written out; those of other modules are only named.
    """

    def __init__(self, home: str | None) -> None:
        self._home = home
        self._seen: set[int] = set()

    def read(self, thing: Any) -> Iterator[str]:
        """Write out a callable: its source, then what it uses."""
        if isinstance(thing, functools.partial):
            yield f"partial of {self._value(thing.func)} {self._value(thing.args)} {self._value(thing.keywords)}"
            return
        thing = inspect.unwrap(thing)
        if isinstance(thing, MethodType):
            yield f"method of {self._value(thing.__self__)}"
            thing = thing.__func__
        if not isinstance(thing, FunctionType | type):
            yield self._object(thing)
        elif _is_from_sweep(_module_of(thing)):
            yield self._name(thing)
        elif id(thing) not in self._seen:
            self._seen.add(id(thing))
            yield self._text(thing)
            for name, value in sorted(_names_used(thing).items()):
                if not isinstance(value, ModuleType):
                    yield f"{name}: {self._value(value)}"

    def _value(self, value: Any) -> str:
        """Write a value by its content, never by its address in memory."""
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
        """Write an object: by its `repr`, or by its class and fields where the page defines these."""
        text = repr(thing)
        if " at 0x" not in text and not callable(thing):
            return text
        own = getattr(type(thing), "__module__", None) == self._home or is_dataclass(thing)
        if not own or not hasattr(thing, "__dict__") or id(thing) in self._seen:
            return self._name(thing)
        self._seen.add(id(thing))
        return "\n".join([*self.read(type(thing)), self._value(vars(thing))])

    def _text(self, thing: Any) -> str:
        """Return the source of a function or class, or its name and bytecode where there is no source."""
        try:
            return textwrap.dedent(inspect.getsource(thing))
        except (OSError, TypeError):
            return f"{self._name(thing)} {_bytecode(getattr(thing, '__code__', None))}"

    def _name(self, thing: Any) -> str:
        """Name a function or class by its module, any other object by its class and its name if it has one."""
        named = thing if hasattr(thing, "__qualname__") else type(thing)
        module = "page" if named.__module__ == self._home else named.__module__  # a page's module name has its folder
        return f"{module}.{named.__qualname__} {getattr(thing, '__name__', '')}".strip()


def _is_read(value: Any, home: str | None) -> bool:
    """Tell whether a callable is defined by the page, or is a partial, which may hold something that is."""
    return isinstance(value, functools.partial) or _module_of(value) == home


def _bytecode(constant: Any) -> str:
    """Write bytecode, and the constants in it, as text that is the same in every process."""
    if isinstance(constant, CodeType):
        return f"{constant.co_code.hex()} {constant.co_names} {[_bytecode(each) for each in constant.co_consts]}"
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _names_used(thing: FunctionType | type) -> dict[str, Any]:
    """Find the globals, closure variables and defaults of a function; of a class its bases and what its methods use."""
    if isinstance(thing, type):
        found = {base.__name__: base for base in thing.__bases__}
        members = [getattr(m, "__func__", None) or getattr(m, "fget", m) for m in vars(thing).values()]
        methods = [inspect.unwrap(m) for m in members if callable(m)]
        return functools.reduce(dict.__or__, [_names_used(m) for m in methods if isinstance(m, FunctionType)], found)
    names = {name for name in _names(thing.__code__) if not name.startswith("__")}  # __file__ and the like do not count
    found = {name: value for name, value in thing.__globals__.items() if name in names}
    for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
        with suppress(ValueError):  # a name that is not bound yet
            found[name] = cell.cell_contents
    defaults = {"defaults": thing.__defaults__, "keyword defaults": thing.__kwdefaults__}
    return found | {name: values for name, values in defaults.items() if values}


def _names(code: CodeType) -> Iterator[str]:
    """List the names in code, including those in functions and classes inside it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def fingerprint(experiment: Experiment) -> str:
    """Hash everything that affects an experiment's numbers: 16 hexadecimal digits of SHA-256."""
    return fingerprint_of(describe(experiment))


def stored_fingerprint(attributes: Mapping[Any, Any]) -> str:
    """Hash everything that affects the numbers of a store of any version, from its description of the experiment.

    Args:
        attributes: the store's attributes; if they describe no experiment, the hash that they hold is returned.
    """
    if "experiment" not in attributes:
        return str(attributes.get("fingerprint", ""))
    return fingerprint_of(json.loads(attributes["experiment"]))


def has_fingerprint(attributes: Mapping[Any, Any], code: str) -> bool:
    """Tell whether a store has a hash, computed either now or when the store was made.

    Args:
        attributes: the store's attributes.
        code: the hash, as another store may hold it of this one (in `parent`).
    """
    return bool(code) and code in (stored_fingerprint(attributes), attributes.get("fingerprint"))


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """Compute the `fingerprint` from an experiment's description.

    Args:
        description: as returned by `describe`, of this version or any earlier one.
    """
    text = json.dumps(_numeric_part(description), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numeric_part(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a description that affects numbers, in its stable form."""
    return _lasting_form({key: value for key, value in description.items() if key not in COSMETIC})


def _lasting_form(value: Any) -> Any:
    """Remove fields at their declared defaults or without effect, and names of sweep's modules, from a description."""
    if isinstance(value, str):
        return _NAMED.sub("sweep", _IMPORTED.sub(r"\1 sweep", value))
    if isinstance(value, Mapping):
        kept = {key: _lasting_form(each) for key, each in value.items()}
        kind = str(value.get("kind"))
        declared, cosmetic = defaults().get(kind, {}), _COSMETIC_WITHIN.get(kind, ())
        return {
            key: each
            for key, each in kept.items()
            if key not in cosmetic and (key not in declared or each != _lasting_form(declared[key]))
        }
    return [_lasting_form(each) for each in value] if isinstance(value, tuple | list) else value


def fill_defaults(value: Any) -> Any:
    """Add the fields that a description of any version leaves out because they have their defaults."""
    if isinstance(value, Mapping):
        complete = {**defaults().get(str(value.get("kind")), {}), **value}
        return {key: fill_defaults(each) for key, each in complete.items()}
    return [fill_defaults(each) for each in value] if isinstance(value, tuple | list) else value


@functools.cache
def defaults() -> dict[str, dict[str, Any]]:
    """Return the declared defaults of every class of `SPECS`, as described data, by class and field."""
    return {spec.__name__: dict(_defaults(spec)) for spec in SPECS}


def _defaults(spec: type) -> Iterator[tuple[str, Any]]:
    for field in fields(spec):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if default is not MISSING and not field.name.startswith("_"):
            yield field.name, describe(default)


def differing_fields(experiment: Experiment, attributes: Mapping[str, Any]) -> str:
    """Name the fields in which an experiment differs from that of a store and that affect numbers; "" if none.

    Args:
        experiment: the experiment as it is now.
        attributes: the store's attributes.
    """
    stored, now = (_numeric_part(each) for each in (json.loads(attributes["experiment"]), describe(experiment)))
    names = sorted({*stored, *now}, key=[*describe(experiment), *stored].index)
    return ", ".join(name for name in names if now.get(name) != stored.get(name))
