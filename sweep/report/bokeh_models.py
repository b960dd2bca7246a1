"""The Bokeh models of a section: an empty heatmap, curves and a fit, which the report's scripts fill.

There are no Bokeh callbacks here: Bokeh would compile their text, which the report's security policy forbids.
"""

from typing import Any, Final

from bokeh.embed import json_item
from bokeh.models import BoxSelectTool, ColorBar, ColumnDataSource, FixedTicker, LinearColorMapper, Range1d, Span
from bokeh.plotting import figure
from matplotlib.colors import Colormap, to_hex

from sweep.plots.drawing.style import HATCHES, higher_better_colours, lower_better_colours, neutral_colours

_PATTERNS: Final = {"diverged": "x", "cut": "\\", "not_run": "-"}  # crossed, slanted, horizontal: as in the figures
_EVENTS: Final = {"tap", "doubletap", "mousemove", "mouseleave", "selectiongeometry"}


def plots_as_json() -> dict[str, Any]:
    """Give the three plots of one section, each as JSON for Bokeh.

    Returns:
        `heatmap`, `curves` and `fit`; scripts find the sources and glyphs in them by name.
    """
    plots = {"heatmap": _heatmap(), "curves": _lines("curves"), "fit": _lines("fit")}
    return {name: json_item(plot) for name, plot in plots.items()}


def palettes() -> dict[str, list[str]]:
    """Give the colours of heatmaps, from low values to high: where lower is better, higher is, or neither is."""
    maps = {"lower": lower_better_colours, "higher": higher_better_colours, "none": neutral_colours}
    return {better: _colours(colours()) for better, colours in maps.items()}


def hatch_colours() -> dict[str, dict[str, str]]:
    """Give the colours of cells without a number, by their kind."""
    return {kind: dict(zip(("face", "line"), HATCHES[kind], strict=False)) for kind in _PATTERNS}


def _colours(cmap: Colormap) -> list[str]:
    return [to_hex(cmap(place)) for place in range(256)]


def _plot(name: str, **options: Any) -> Any:
    plot = figure(
        name=name, sizing_mode="stretch_both", min_width=200,
        x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1),
        background_fill_color=None, border_fill_color=None, outline_line_color=None, **options,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    for axis, letter in ((plot.xaxis[0], "x"), (plot.yaxis[0], "y")):
        axis.update(
            name=f"{letter}axis", ticker=FixedTicker(ticks=[]), major_label_overrides={}, minor_tick_line_color=None
        )
        axis.update(axis_label_text_font_style="normal", axis_label_standoff=6)
    return plot


def _heatmap() -> Any:
    plot = _plot("heatmap", toolbar_location="below", tools="pan,wheel_zoom,box_zoom,reset,save")
    plot.subscribed_events = _EVENTS
    plot.grid.visible = False
    brush = BoxSelectTool(description="select several cells")
    plot.add_tools(brush)
    plot.toolbar.active_drag = brush
    mapper = LinearColorMapper(palette=["#000000", "#ffffff"], low=0, high=1, nan_color="#00000000", name="mapper")
    cells = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []}, name="cells")
    plot.image("image", "x", "y", "dw", "dh", source=cells, color_mapper=mapper)
    box = {"left": "left", "right": "right", "bottom": "bottom", "top": "top"}
    empty = {name: [] for name in box}
    for kind, colours in hatch_colours().items():
        plot.quad(
            **box, source=ColumnDataSource(dict(empty), name=kind), fill_color=colours["face"], line_color=None,
            hatch_pattern=_PATTERNS[kind], hatch_color=colours["line"], hatch_scale=8, hatch_weight=1.2,
        )  # fmt: skip
    for kind, colour, width, dash in (
        ("halo", "#ffffff", 5, "solid"), ("selected", "color", 2.5, "solid"), ("zoomed", "#e69f00", 2.5, "dashed"),
        ("cursor_halo", "#ffffff", 4, "solid"), ("cursor", "#000000", 2, "dotted"),
    ):  # fmt: skip
        source = ColumnDataSource({**empty, "color": []} if colour == "color" else dict(empty), name=kind)
        plot.quad(**box, source=source, fill_color=None, line_color=colour, line_width=width, line_dash=dash)
    bar = ColorBar(
        color_mapper=mapper, ticker=FixedTicker(ticks=[]), major_label_overrides={}, width=14, padding=4, name="bar",
        title_text_font_style="normal", background_fill_color=None, title_standoff=8, label_standoff=6,
    )  # fmt: skip
    plot.add_layout(bar, "right")
    return plot


def _lines(name: str) -> Any:
    plot = _plot(name, toolbar_inner=True, toolbar_location="above", tools="pan,wheel_zoom,box_zoom,reset,save")
    plot.grid.grid_line_alpha = 0.25
    band = ColumnDataSource({"xs": [], "ys": [], "color": []}, name="band")
    plot.patches("xs", "ys", source=band, fill_color="color", fill_alpha=0.15, line_color=None)
    seeds = ColumnDataSource({"xs": [], "ys": [], "color": []}, name="seeds")
    plot.multi_line("xs", "ys", source=seeds, line_color="color", line_alpha=0.35, line_width=0.8, name="seeds_lines")
    lines = ColumnDataSource({"xs": [], "ys": [], "color": [], "dash": []}, name="medians")
    plot.multi_line("xs", "ys", source=lines, line_color="#ffffff", line_alpha=0.8, line_width=5, name="halos")
    target = ColumnDataSource({"xs": [], "ys": []}, name="target")
    plot.multi_line("xs", "ys", source=target, line_color="#808080", line_alpha=0.55, line_width=5)
    plot.multi_line("xs", "ys", source=lines, line_color="color", line_width=2.4, line_dash="dash")
    plot.add_layout(Span(location=0, dimension="height", line_dash="dotted", line_color="#808080", name="moment"))
    return plot
