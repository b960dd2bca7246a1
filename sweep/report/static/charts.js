/* Bokeh's plots are filled here: no function is compiled from text, so that the security policy can forbid it. */

const LINES = {light: ["#0072b2", "#d55e00", "#009e73", "#a0518a", "#b58900", "#2b9fd8"],
  dark: ["#56b4e9", "#ff8c3a", "#2fc79b", "#e39ac7", "#f0e442", "#9ecbff"]};
const DASHES = [[], [7, 4], [2, 3], [8, 3, 2, 3], [12, 4], [4, 2]];
const KINDS = ["number", "diverged", "cut", "not_run"];  // what a cell is

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const lineColours = () => LINES[isDark() ? "dark" : "light"];

/** A Bokeh plot, whose parts are found by name. */
class Chart {
  static async embed(item, target) {
    const views = await Bokeh.embed.embed_item(item, target);
    const chart = new Chart(views.roots[0]);
    chart.dress();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.dress());
    return chart;
  }

  constructor(view) {
    this.view = view;
    this.plot = view.model;
    this.told = {};
  }

  part(name) {
    return this.plot.select_one(name);
  }

  fill(name, columns) {
    this.part(name).data = columns;
  }

  /** Give an axis ticks at places with texts, and a label. */
  ticks(axis, ticks, label) {
    const told = JSON.stringify([ticks, label]);
    if (this.told[axis] === told) return;  // otherwise Bokeh would lay out the plot again
    this.told[axis] = told;
    const part = this.part(axis);
    part.ticker.ticks = ticks.map(([place]) => place);  // changed in place, since a colour bar keeps its first ticker
    part.major_label_overrides = new Map(ticks);
    if (label !== undefined) part[axis === "bar" ? "title" : "axis_label"] = label;
  }

  range(axis, start, end) {
    this.plot[`${axis}_range`].setv({start, end, reset_start: start, reset_end: end});
  }

  /** Use the colours of the report's light or dark scheme. */
  dress() {
    const style = getComputedStyle(document.documentElement);
    const [ink, quiet, line, paper] = ["--ink", "--quiet", "--line", "--paper"].map((name) => style.getPropertyValue(name).trim());
    for (const name of ["xaxis", "yaxis"]) {
      this.part(name).setv({axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: quiet,
        major_tick_line_color: quiet, axis_label_text_font_size: "13px", major_label_text_font_size: "12px"});
    }
    for (const grid of this.plot.center) if ("grid_line_color" in grid) grid.grid_line_color = quiet;
    const halo = this.part("halos");
    if (halo) halo.glyph.line_color = {value: paper};
    const bar = this.part("bar");
    if (bar) {
      bar.setv({title_text_color: ink, major_label_text_color: ink, major_tick_line_color: quiet,
        title_text_font_size: "13px", major_label_text_font_size: "12px", bar_line_color: line});
    }
  }
}

/** Cover cells without a number by few boxes: runs along a row, merged with equal runs of the rows above. */
function boxes(kinds, kind, columns) {
  const found = {left: [], right: [], bottom: [], top: []};
  let open = new Map();  // boxes that end at the row below, by "left:right"
  const rows = kinds.length / columns;
  for (let row = 0; row < rows; row++) {
    const going = new Map();
    for (let c = 0; c < columns; c++) {
      if (kinds[row * columns + c] !== kind) continue;
      const left = c;
      while (c + 1 < columns && kinds[row * columns + c + 1] === kind) c++;
      const key = `${left}:${c}`;
      if (open.has(key)) {
        going.set(key, open.get(key));
        found.top[open.get(key)] = row + 0.5;
      } else {
        going.set(key, found.left.length);
        found.left.push(left - 0.5);
        found.right.push(c + 0.5);
        found.bottom.push(row - 0.5);
        found.top.push(row + 0.5);
      }
    }
    open = going;
  }
  return found;
}

/** Boxes around single cells. */
function outlines(cells) {
  return {left: cells.map(([c]) => c - 0.5), right: cells.map(([c]) => c + 0.5),
    bottom: cells.map(([, r]) => r - 0.5), top: cells.map(([, r]) => r + 0.5)};
}

/** Draw a heatmap.
 *  map: columns and rows (counts), values, kinds, low, high, log, palette, label, x and y (texts, label).
 */
function drawHeatmap(chart, map) {
  const {columns, rows} = map, place = map.log ? Math.log10 : (value) => value;
  const low = place(map.low), high = map.high > map.low ? place(map.high) : low + 1e-9 * Math.max(1, Math.abs(low));
  const image = new Float64Array(map.values.length);
  for (let i = 0; i < image.length; i++) {
    image[i] = map.kinds[i] === 0 ? Math.max(low, Math.min(high, place(map.values[i]))) : NaN;
  }
  chart.part("mapper").setv({palette: map.palette, low, high});
  const {ndarray} = Bokeh.require("core/util/ndarray");
  const shaped = ndarray(image, {dtype: "float64", shape: [rows, columns]});
  chart.fill("cells", {image: [shaped], x: [-0.5], y: [-0.5], dw: [columns], dh: [rows]});
  for (const kind of [1, 2, 3]) chart.fill(KINDS[kind], boxes(map.kinds, kind, columns));
  chart.ticks("bar", map.high > map.low ? valueTicks(low, high, map.log, 6) : [[low, short(map.low)]], map.label);
  const letters = ({texts}) => Math.max(2, ...texts.flatMap((text) => text.split("\n")).map((line) => line.length));
  const width = chart.view.el.clientWidth - 115 - 6.4 * letters(map.y), height = chart.view.el.clientHeight - 90;
  chart.ticks("xaxis", labelled(map.x.texts, width / (6.4 * letters(map.x) + 10)).map((i) => [i, map.x.texts[i]]), map.x.label);
  chart.ticks("yaxis", labelled(map.y.texts, height / 22).map((i) => [i, map.y.texts[i]]), map.y.label);
  const size = `${columns}x${rows}`;
  if (chart.size !== size) {  // otherwise keep the reader's zoom
    chart.range("x", -0.5, columns - 0.5);
    chart.range("y", -0.5, rows - 0.5);
    chart.size = size;
  }
}

/** Draw lines: a thin one for each seed, a thick one for each median, over a band between the quartiles.
 *  lines: for each selected cell `seeds` and `median`, `lower` and `upper`, all over `places`, with colour and dash.
 */
function drawLines(chart, {places, lines, target, targetPlaces, x, y, moment, log, span}) {
  const place = log ? (value) => value > 0 ? Math.log10(value) : NaN : (value) => value;
  const shown = (values) => Float64Array.from(values, (value) => Number.isFinite(value) ? place(value) : NaN);
  const seeds = {xs: [], ys: [], color: []}, medians = {xs: [], ys: [], color: [], dash: []}, band = {xs: [], ys: [], color: []};
  for (const line of lines) {
    for (const seed of line.seeds) {
      seeds.xs.push(places);
      seeds.ys.push(shown(seed));
      seeds.color.push(line.colour);
    }
    medians.xs.push(places);
    medians.ys.push(shown(line.median));
    medians.color.push(line.colour);
    medians.dash.push(line.dash);
    const around = outlineOf(places, shown(line.lower), shown(line.upper));
    if (around) {
      band.xs.push(around[0]);
      band.ys.push(around[1]);
      band.color.push(line.colour);
    }
  }
  chart.fill("seeds", seeds);
  chart.part("seeds_lines").glyph.line_alpha = {value: Math.max(0.1, Math.min(0.4, 8 / Math.max(1, seeds.xs.length)))};
  chart.fill("medians", medians);
  chart.fill("band", band);
  chart.fill("target", target ? {xs: [targetPlaces], ys: [shown(target)]} : {xs: [], ys: []});
  chart.part("moment").setv({location: moment ?? places[0], visible: moment !== undefined});
  chart.range("x", ...x.span);
  chart.ticks("xaxis", x.ticks, x.label);
  const [low, high] = (span ?? extent([...lines.flatMap((line) => [...line.seeds, line.median]), target ?? []])).map(place);
  const margin = 0.05 * (high - low || Math.abs(high)) || 0.5;
  chart.range("y", low - margin, high + margin);
  chart.ticks("yaxis", valueTicks(low - margin, high + margin, log, 6), y.label);
}

/** The outline of the band: along the upper quartiles and back along the lower ones, where both are finite. */
function outlineOf(places, lower, upper) {
  const good = Array.from(places, (_, i) => i).filter((i) => !Number.isNaN(lower[i]) && !Number.isNaN(upper[i]));
  if (!good.length) return null;
  const back = good.slice().reverse();
  return [[...good, ...back].map((i) => places[i]), [...good.map((i) => upper[i]), ...back.map((i) => lower[i])]];
}

/** The lowest and the highest finite number in several lists. */
function extent(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
    }
  }
  return low <= high ? [low, high] : [0, 1];
}
