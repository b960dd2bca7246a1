"""What a page resolves to, as plain data, and the hash of the part of it that changes numbers."""

import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from sweep.experiment import Experiment

# Fields that say what the page is about or what is drawn: two runs that differ only here have equal numbers.
COSMETIC: Final = ("name", "question", "figures")


def describe(thing: Any) -> Any:
    """Turn a spec into JSON-able data; a function of the page's own becomes its source text."""
    if is_dataclass(thing) and not isinstance(thing, type):
        data = {f.name: describe(getattr(thing, f.name)) for f in fields(thing)}
        return {"kind": type(thing).__name__, **data}
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if isinstance(thing, tuple | list):
        return [describe(value) for value in thing]
    if callable(thing):
        return source(thing)
    return thing


def source(function: Callable[..., Any]) -> str:
    """Give a function's source text, or its qualified name where no text can be had (typed at a prompt)."""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return f"{function.__module__}.{function.__qualname__}"


def fingerprint(experiment: Experiment) -> str:
    """Hash what changes an experiment's numbers: 16 hexadecimal digits of SHA-256."""
    data = {key: value for key, value in describe(experiment).items() if key not in COSMETIC}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
