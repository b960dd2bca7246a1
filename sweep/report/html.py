"""One HTML file: the template is filled, every script is allowed by its hash, and nothing is loaded from elsewhere."""

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


def is_report(path: Path) -> bool:
    """Tell whether a file is a report that this command made."""
    with path.open("rb") as file:
        return _MARK.encode() in file.read(4096)


def render(title: str, sections: list[list[dict[str, Any]]], shared: dict[str, Any]) -> str:
    """Write the HTML file.

    Args:
        title: as text; it is escaped, as is all text that the template gets.
        sections: what `section.make_section` gives for each store; one list for each group shown side by side.
        shared: what the scripts need besides the sections.

    Returns:
        HTML. Its security policy allows only these scripts, by their hashes, and no requests. Bokeh and the report
        set styles as text, so inline styles are allowed; no script is compiled from text.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data"] = _format_data
    template = environment.from_string(_read_static("report.html"))
    code = "\n".join(_read_static(name) for name in _SCRIPTS)
    scripts = [_bokeh_script(), f'(() => {{\n"use strict";\n{code}\n}})();']
    return template.render(
        generator=GENERATOR, title=title, sections=sections, shared=shared, style=_read_static("report.css"),
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


def _bokeh_script() -> str:
    """Give the core of Bokeh alone, without widgets, tables and typesetting."""
    from bokeh.resources import Resources

    (text,) = Resources(mode="inline", components=["bokeh"], minified=True).js_raw[:1]
    return _escape_end_tag(text)


def _read_static(name: str) -> str:
    text = (_STATIC / name).read_text(encoding="utf-8")
    return _escape_end_tag(text) if name.endswith(".js") else text


def _escape_end_tag(script: str) -> str:
    """Escape text in a script that would end its script element."""
    return script.replace("\r\n", "\n").replace("</script", "<\\/script")


def _format_data(value: Any) -> Any:
    """Format data for a script element: JSON in which nothing can be read as HTML."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
