"""What differs between the pages that results come from, and between what they were computed with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import xarray as xr

from sweep.page.identity import fill_defaults

# Not how it was computed: what is drawn and claimed. Axes are told by the results' own coordinates.
_ASIDE: Final = ("kind", "figures", "claims", "axes")
_STRUCTURED: Final = ("versions", "arithmetic")
_PLAIN: Final = ("device", "commit")
NONE: Final = "-"  # where one has no such field
_LONGEST: Final = 60  # letters of a value


def compare_pages(results: Sequence[xr.Dataset]) -> dict[str, tuple[str, ...]]:
    """Tell in which fields pages, versions, devices and arithmetic differ.

    Args:
        results: as `open_results` gives them, in any state of alignment.

    Returns:
        By field, such as "optimizer.learning_rate" or "versions.jax", its value in each of the results, shortened where
        long; "-" where there is no such field. Of texts of several lines, as a function's source, only the lines that
        differ.
    """
    fields = [dict(_fields(ds.attrs)) for ds in results]
    found = {}
    for name in dict.fromkeys(name for each in fields for name in each):
        values = [each.get(name, NONE) for each in fields]
        if any(value != values[0] for value in values):
            found[name] = tuple(map(_shorten, _own_lines(values)))
    return found


def _fields(attributes: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Give all fields as text."""
    page = fill_defaults(json.loads(attributes.get("experiment", "{}")))
    for name, value in page.items():
        if name not in _ASIDE:
            yield from _flat(name, value)
    if "name" in attributes:
        yield "name", str(attributes["name"])
    for name in _STRUCTURED:
        yield from _flat(name, json.loads(attributes.get(name, "{}")))
    for name in _PLAIN:
        if name in attributes:
            yield name, str(attributes[name])


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Give a value's fields with their path: "model.width"."""
    if not isinstance(value, Mapping):
        yield name, _format_value(value)
        return
    for key, inner in value.items():
        yield from _flat(name if key == "kind" else f"{name}.{key}", inner)


def _format_value(value: Any) -> str:
    """Write a value as a page would."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={_format_value(each)}" for key, each in value.items() if key != "kind")
        return f"{value.get('kind', '')}({inner})"
    if isinstance(value, list):
        return f"({', '.join(map(_format_value, value))})"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _own_lines(values: Sequence[str]) -> list[str]:
    """Leave out the lines that all have."""
    if not any("\n" in value for value in values):
        return list(values)
    common = set.intersection(*(set(value.splitlines()) for value in values))
    return ["\n".join(line for line in value.splitlines() if line not in common) or NONE for value in values]


def _shorten(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 4]} ..."
