"""What a page resolves to, as plain data, and the hash of the part of it that changes numbers."""

import functools
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np

from sweep.experiment import Experiment

# Fields that say what the page is about, what is drawn or decided: runs that differ only here have equal numbers.
COSMETIC: Final = ("name", "question", "figures", "claims")


def describe(thing: Any) -> Any:
    """Turn a spec into JSON-able data; a function of the page's own becomes its source text."""
    if is_dataclass(thing) and not isinstance(thing, type):
        data = {f.name: describe(getattr(thing, f.name)) for f in fields(thing) if not f.name.startswith("_")}
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
        uses, theirs too. Of anything imported from elsewhere only the name counts.
    """
    return "\n".join(_Reader(_home(function)).read(function))


def _home(thing: Any) -> str | None:
    """Name the module that a function, class or object is of."""
    inner = thing.func if isinstance(thing, functools.partial) else inspect.unwrap(thing)
    return getattr(inner, "__module__", None)


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
        elif id(thing) not in self._seen:
            self._seen.add(id(thing))
            yield self._text(thing)
            for name, value in sorted(_used(thing).items()):
                if not isinstance(value, ModuleType):
                    yield f"{name}: {self._value(value)}"

    def _value(self, value: Any) -> str:
        """Write a value down by what it holds, never by its address."""
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


def _used(thing: FunctionType | type) -> dict[str, Any]:
    """Find the globals, closed-over variables and defaults of a function; bases and those of methods of a class."""
    if isinstance(thing, type):
        found = {base.__name__: base for base in thing.__bases__}
        members = [getattr(m, "__func__", None) or getattr(m, "fget", m) for m in vars(thing).values()]
        methods = [inspect.unwrap(m) for m in members if callable(m)]
        return functools.reduce(dict.__or__, [_used(m) for m in methods if isinstance(m, FunctionType)], found)
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
    data = {key: value for key, value in describe(experiment).items() if key not in COSMETIC}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def differing(experiment: Experiment, attributes: Mapping[str, Any]) -> str:
    """Say in what an experiment differs from that of a store, as far as it changes numbers; "" if in nothing.

    Args:
        experiment: the experiment as it is now.
        attributes: of a store.
    """
    if attributes["fingerprint"] == fingerprint(experiment):
        return ""
    stored, now = json.loads(attributes["experiment"]), json.loads(json.dumps(describe(experiment)))
    fields = [name for name in now if name not in COSMETIC and now[name] != stored.get(name)]
    return ", ".join(fields) or "code that the page uses"
