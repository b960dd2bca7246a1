"""One HTML file of several parts: the template filled, every script named by its hash, nothing from elsewhere."""

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

GENERATOR: Final = "sweep report"
_MARK: Final = f'<meta name="generator" content="{GENERATOR}">'
_STATIC: Final = files("sweep.report") / "static"
_SCRIPTS: Final = (
    "unpack.js", "statistics.js", "axes.js", "elements.js", "charts.js", "section.js", "curves.js", "controls.js",
    "pointing.js", "start.js",
)  # fmt: skip


def is_ours(path: Path) -> bool:
    """Tell whether a file is a report that this command made."""
    with path.open("rb") as file:
        return _MARK.encode() in file.read(4096)


def render(title: str, sections: list[list[dict[str, Any]]], shared: dict[str, Any]) -> str:
    """Write the page.

    Args:
        title: as text; it is escaped, as all that the template is given.
        sections: what `section.make` gives of each store; those that belong beside each other in one list.
        shared: what the page's script needs beside the sections.

    Returns:
        HTML. Its policy lets these scripts run, known by their hashes, and lets nothing be fetched. Bokeh and the
        page set styles as text, so styles are allowed inline; no script is made of text.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data"] = _data
    template = environment.from_string(_static("page.html"))
    own = "\n".join(_static(name) for name in _SCRIPTS)
    scripts = [_bokeh(), f'(() => {{\n"use strict";\n{own}\n}})();']
    return template.render(
        generator=GENERATOR, title=title, sections=sections, shared=shared, style=_static("report.css"),
        scripts=scripts, policy=_policy(scripts),
    )  # fmt: skip


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _bokeh() -> str:
    """Give Bokeh's core alone: no widgets, tables or typesetting."""
    from bokeh.resources import Resources

    (text,) = Resources(mode="inline", components=["bokeh"], minified=True).js_raw[:1]
    return _unbroken(text)


def _static(name: str) -> str:
    text = (_STATIC / name).read_text(encoding="utf-8")
    return _unbroken(text) if name.endswith(".js") else text


def _unbroken(script: str) -> str:
    """Make sure that a script does not end the element it stands in."""
    return script.replace("\r\n", "\n").replace("</script", "<\\/script")


def _data(value: Any) -> Any:
    """Write data for a script element: JSON in which nothing can be taken for HTML."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
