"""What differs between the pages that results come from, and between the versions and devices that computed them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import xarray as xr

from sweep.page.identity import fill_defaults

# Figures and claims change no result; axes are compared by the results' own coordinates.
_LEFT_OUT: Final = ("kind", "figures", "claims", "axes")
_WITHOUT_EFFECT: Final = ("record.keep",)
_STRUCTURED: Final = ("versions", "arithmetic")
_PLAIN: Final = ("device", "commit")
NONE: Final = "-"  # for results without such a field
_LONGEST: Final = 60  # letters of a value


def compare_pages(results: Sequence[xr.Dataset]) -> dict[str, tuple[str, ...]]:
    """Find the fields in which pages, versions, devices and arithmetic differ.

    Args:
        results: as `open_results` gives them, aligned or not.

    Returns:
        By field, such as "optimizer.learning_rate" or "versions.jax", its value in each of the results, shortened if
        long; "-" where there is no such field. For a text of several lines, such as a function's source, only the lines
        that differ.
    """
    fields = [dict(_fields(ds.attrs)) for ds in results]
    found = {}
    for name in dict.fromkeys(name for each in fields for name in each):
        values = [each.get(name, NONE) for each in fields]
        if any(value != values[0] for value in values):
            found[name] = tuple(map(_shorten, _drop_common_lines(values)))
    return found


def _fields(attributes: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Give all fields, by their paths, as text."""
    page = fill_defaults(json.loads(attributes.get("experiment", "{}")))
    for name, value in page.items():
        if name not in _LEFT_OUT:
            yield from ((path, text) for path, text in _flatten(name, value) if path not in _WITHOUT_EFFECT)
    if "name" in attributes:
        yield "name", str(attributes["name"])
    for name in _STRUCTURED:
        yield from _flatten(name, json.loads(attributes.get(name, "{}")))
    for name in _PLAIN:
        if name in attributes:
            yield name, str(attributes[name])


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Give a value's fields with their paths: "model.width"."""
    if not isinstance(value, Mapping):
        yield name, _format_value(value)
        return
    for key, inner in value.items():
        yield from _flatten(name if key == "kind" else f"{name}.{key}", inner)


def _format_value(value: Any) -> str:
    """Write a value as a page would."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={_format_value(each)}" for key, each in value.items() if key != "kind")
        return f"{value.get('kind', '')}({inner})"
    if isinstance(value, list):
        return f"({', '.join(map(_format_value, value))})"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _drop_common_lines(values: Sequence[str]) -> list[str]:
    """Leave out the lines that all have."""
    if not any("\n" in value for value in values):
        return list(values)
    common = set.intersection(*(set(value.splitlines()) for value in values))
    return ["\n".join(line for line in value.splitlines() if line not in common) or NONE for value in values]


def _shorten(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 4]} ..."
