/* One store in the report: its state and its heatmap. Curves, controls and pointing are in other files. */

const MOST_LINES = 6; // selected cells whose curves have different colours
const MOST_SAMPLED = 60; // columns and rows from which the ends of the colour scale are computed

class Section {
  constructor(element, shared) {
    this.element = element;
    this.shared = shared;
    this.key = element.dataset.key;
    this.about = JSON.parse(document.querySelector(`script[data-about="${CSS.escape(this.key)}"]`).textContent);
    this.store = new Store(this.about);
    this.drawn = {};
    this.fresh = 0;  // number of changes requested; only the latest is drawn
    this.coming = {};  // changes whose metric is being unpacked
  }

  part(name) {
    return this.element.querySelector(`[data-part="${name}"]`);
  }

  get metrics() {
    return Object.keys(this.about.variables).filter((name) => this.about.variables[name].dims.includes("epoch"));
  }

  /** Create the plots and show the first view, or the one in the address. */
  async start(fragment) {
    if (!this.metrics.length) {
      this.part("caption").textContent = "No metric was recorded that could be drawn.";
      return;
    }
    const {metric, x, y, at} = this.about.first;
    const everywhere = Object.fromEntries(Object.keys(this.about.dims).map((dim) => [dim, at[dim] ?? 0]));
    everywhere.epoch = at.epoch ?? this.about.dims.epoch.texts.length - 1;
    this.first = {metric, statistic: "median", x, y, threshold: null, at: everywhere, seed: 0, cells: null};
    this.state = structuredClone(this.first);
    this.counts = await this.store.array(this.about.counts);
    this.statuses = this.about.status ? await this.store.array(this.about.status) : null;
    this.charts = {};
    for (const [name, item] of Object.entries(this.about.plots)) {
      this.charts[name] = await Chart.embed(item, this.part(name));
    }
    await this.set(fragment);
    this.listen();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Change what is shown: metric, statistic, x, y, threshold, at ({dimension: index}), cells ([[x, y], ...]). */
  async set(changes) {
    const turn = ++this.fresh;
    const coming = this.coming = {...this.coming, ...changes, at: {...this.coming.at, ...changes.at}};
    const variable = await this.store.load(coming.metric ?? this.state.metric);
    if (turn !== this.fresh) return;
    this.coming = {};
    const before = this.state, next = {...before, ...coming, at: {...before.at, ...coming.at}};
    this.state = this.valid(next, variable, before, coming);
    this.variable = variable;
    await this.draw();
    this.shared.changed();
  }

  /** Correct choices that do not fit the metric, and map the selected cells to new axes. */
  valid(next, variable, before, changes) {
    const free = variable.free;
    if (!free.includes(next.x)) next.x = free.find((dim) => dim !== next.y && dim === "epoch") ?? free[0];
    if (!free.includes(next.y) || next.y === next.x) {
      next.y = free.find((dim) => dim !== next.x && this.size(dim) > 1) ?? free.find((dim) => dim !== next.x) ?? "";
    }
    const asked = STATISTICS.find(({name}) => name === next.statistic);
    if (!asked || asked.exact && variable.form !== "exact") next.statistic = "median";
    for (const dim of Object.keys(next.at)) next.at[dim] = Math.max(0, Math.min(this.size(dim) - 1, Math.round(next.at[dim]) || 0));
    next.seed = Math.max(0, Math.min(this.about.seeds.length - 1, next.seed));
    if (next.metric !== before.metric && !("threshold" in changes)) next.threshold = null;
    if (next.statistic === "reached") next.threshold ??= this.middling(variable);
    if (before.cells && (next.x !== before.x || next.y !== before.y) && !changes.cells) {
      const full = before.cells.map(([x, y]) => ({...before.at, [before.x]: x, ...(before.y ? {[before.y]: y} : {})}));
      next.at = {...next.at, ...full[0], ...changes.at};
      const cells = full.map((place) => [place[next.x], next.y ? place[next.y] : 0]);
      next.cells = [...new Map(cells.map((cell) => [String(cell), cell])).values()];
    }
    next.cells = next.cells?.filter(([x, y]) => x >= 0 && x < this.size(next.x) && y >= 0 && y < (next.y ? this.size(next.y) : 1));
    return next;
  }

  size(dim) {
    return this.about.dims[dim]?.texts.length ?? 1;
  }

  /** The default threshold, a round number: a tenth of the median at the first record; or, where higher is better, half way from there to the median at the last. */
  middling(variable) {
    if (variable.name === "accuracy") return 0.9;
    const middle = (epoch) => {
      const values = variable.form === "exact" ? Array.from(ofSeeds(variable, {...this.state.at, epoch})).filter(Number.isFinite).sort((a, b) => a - b) : [];
      return values[values.length >> 1];
    };
    const start = middle(0) ?? 1, records = variable.indices("epoch");
    if (variable.higher) return Number(((start + (middle(records[records.length - 1]) ?? start)) / 2).toPrecision(2));
    return Number((start / 10).toPrecision(1)) || 0.1;
  }

  get asked() {
    return {...named(STATISTICS.find(({name}) => name === this.state.statistic), this.variable), threshold: this.state.threshold};
  }

  /** The kind of the cell at a place: a number, diverged, cut, or not run. */
  kind(value, place) {
    if (Number.isFinite(value)) return 0;
    if (Number.isNaN(value)) return 3;
    const counts = countsOf(this.about, this.counts, place), {cut, lost} = this.about.codes;
    return 2 * counts[cut] > total(counts, lost) ? 2 : 1;
  }

  table(at, most) {
    const {x, y} = this.state;
    return tableOf(this.about, this.counts, this.variable, this.asked, at, x, y, most);
  }

  /** The ends of the colour scale: the same at all epochs, and not stretched by outliers. */
  ends(values) {
    if (this.asked.share) return {low: 0, high: 1, log: false};
    const {x, y, at} = this.state, records = this.variable.indices("epoch"), seen = [values];
    if (x !== "epoch" && y !== "epoch") {
      for (const part of [0, 0.25, 0.5, 0.75, 1]) {
        seen.push(this.table({...at, epoch: records[Math.round(part * (records.length - 1))]}, MOST_SAMPLED).values);
      }
    }
    const all = sampled(seen), start = sampled(seen.slice(1, 2)).sort(), log = spansDecades(all);
    const middle = start[start.length >> 1];
    return {...scaleEnds(log ? all.filter((value) => value > 0) : all, log, log && middle > 0 ? 10 * middle : Infinity), log};
  }

  async draw() {
    this.drawMap();
    this.drawControls();
    this.drawSelection();
    await this.drawCurves();
  }

  drawMap() {
    const {x, y, at} = this.state, {columns, rows, values} = this.table(at);
    const kinds = new Uint8Array(values.length);
    for (let i = 0; i < values.length; i++) {
      if (!Number.isFinite(values[i])) kinds[i] = this.kind(values[i], this.placeOf(columns[i % columns.length], rows[Math.floor(i / columns.length)]));
    }
    const better = {lost: "lower", reached: this.variable.better && "higher"}[this.state.statistic] ?? this.variable.better;
    const map = {
      columns: columns.length, rows: rows.length, values, kinds, ...this.colourEnds(values),
      palette: this.shared.palettes[better ?? "none"], label: this.asked.share ? this.shareLabel() : this.variable.label,
      x: this.axis(x, columns), y: this.axis(y, rows),
    };
    if (map.told) map.label += `; ${map.told}`;
    drawHeatmap(this.charts.heatmap, map);
    this.drawn.heatmap = {x, y, columns, rows, values, kinds, low: map.low, high: map.high, log: map.log};
    if (!this.state.cells) this.state.cells = x === "epoch" && y ? this.lastCells() : this.bestCells();
    this.part("caption").textContent = this.caption();
    this.drawLegend(kinds);
    this.drawZoomed();
  }

  colourEnds(values) {
    const {x, y, at, metric, statistic} = this.state;
    const still = Object.entries(at).filter(([dim]) => dim !== "epoch" && this.variable.dims.includes(dim) && dim !== x && dim !== y);
    const key = JSON.stringify([metric, statistic, x, y, still]);
    if (this.colours?.key !== key) this.colours = {key, ends: this.ends(values)};
    return this.colours.ends;
  }

  shareLabel() {
    const {threshold, statistic} = this.state;
    if (statistic === "lost") return this.variable.form === "exact" ? "share of seeds lost" : "share of seeds lost by the end";
    return `share of seeds with ${this.variable.name.replaceAll("_", " ")} at ${this.variable.higher ? "least" : "most"} ${short(threshold)}`;
  }

  axis(dim, indices) {
    if (!dim) return {texts: [""], label: ""};
    const {texts, label, kind} = this.about.dims[dim], lines = (text) => kind === "category" ? text.replaceAll(", ", ",\n") : text;
    return {texts: indices.map((i) => lines(texts[i])), label};
  }

  placeOf(x, y) {
    const {at} = this.state;
    return {...at, [this.state.x]: x, ...(this.state.y ? {[this.state.y]: y} : {})};
  }

  /** Cells at the last epoch in up to three rows; their curves are rows of the heatmap. */
  lastCells() {
    const {columns, rows} = this.drawn.heatmap, most = Math.min(3, rows.length), last = columns[columns.length - 1];
    return Array.from({length: most}, (_, i) => [last, rows[Math.round(i / Math.max(1, most - 1) * (rows.length - 1))]]);
  }

  /** The cell of the lowest value, or of the highest where higher is better. */
  bestCells() {
    const {columns, rows, values} = this.drawn.heatmap, sign = this.variable.higher || this.state.statistic === "reached" ? -1 : 1;
    let best = -1;
    for (let i = 0; i < values.length; i++) {
      if (Number.isFinite(values[i]) && (best < 0 || sign * values[i] < sign * values[best])) best = i;
    }
    best = Math.max(best, 0);
    return [[columns[best % columns.length], rows[Math.floor(best / columns.length)]]];
  }

  caption() {
    const {x, y, at} = this.state, words = this.asked.share ? "" : ` ${this.asked.label} over ${this.seedsInWords()}`;
    const rest = this.variable.free.filter((dim) => dim !== x && dim !== y && this.size(dim) > 1);
    const where = rest.map((dim) => this.coordinate(dim, this.shownIndex(dim))).join(", ");
    const what = this.asked.share ? this.shareLabel() : `${this.variable.label},${words}`;
    return capital(what) + (where ? `; at ${where}` : "");
  }

  seedsInWords() {
    const count = this.about.seeds.length;
    return count === 1 ? "1 seed" : `${count} seeds`;
  }

  /** The index, in the store, that is shown for a dimension: the nearest one that the report holds. */
  shownIndex(dim) {
    return this.variable.indices(dim)[this.variable.position(dim, this.state.at[dim])];
  }

  coordinate(dim, index) {
    const {texts, swept, kind} = this.about.dims[dim], text = texts[index];
    const named = swept && kind === "category" && text.startsWith(dim.replaceAll("_", " "));
    return named || /^point/.test(dim) && kind === "category" ? text : `${dim.replaceAll("_", " ")} ${text}`;
  }

  drawLegend(kinds) {
    const present = new Set(kinds), legend = this.part("legend");
    const words = {1: "median seed diverged or failed", 2: "cut: ended early by the page's rule", 3: "not run, or nothing measured"};
    legend.replaceChildren(...[1, 2, 3].filter((kind) => present.has(kind)).map((kind) => {
      const entry = make("span", {}, swatch(KINDS[kind], this.shared.looks[KINDS[kind]]));
      entry.append(this.asked.name === "median" ? words[kind] : words[kind].replace("median seed ", ""));
      return entry;
    }));
  }

  /** Outline the ranges of zooms of this store. */
  drawZoomed() {
    const found = {left: [], right: [], bottom: [], top: []};
    for (const child of this.shared.children(this.key)) {
      const across = this.within(this.state.x, child.about.zoomed), up = this.within(this.state.y, child.about.zoomed);
      if (!across || !up || across[0] < 0 && up[0] < 0) continue; // no overlap, or the whole heatmap
      found.left.push(across[0]); found.right.push(across[1]); found.bottom.push(up[0]); found.top.push(up[1]);
    }
    this.charts.heatmap.fill("zoomed", found);
  }

  /** The ends of a range of values, in units of columns or rows. */
  within(dim, zoomed) {
    const count = this.drawn.heatmap[dim === this.state.x ? "columns" : "rows"].length;
    if (!dim || !(dim in zoomed) || this.about.dims[dim].kind === "category") return [-0.5, count - 0.5];
    const {places, kind} = this.about.dims[dim];
    const [low, high] = zoomed[dim].map((value) => kind === "log" ? Math.log10(value) : value);
    if (high < places[0] || low > places[places.length - 1]) return null;
    if (low < places[0] + 1e-9 && high > places[places.length - 1] - 1e-9) return [-0.5, count - 0.5];
    return [betweenPlaces(places, low), betweenPlaces(places, high)];
  }

  drawSelection() {
    const {columns, rows} = this.drawn.heatmap, {x, y} = this.state;
    const cells = this.state.cells.map(([cx, cy]) => [this.variable.position(x, cx), y ? this.variable.position(y, cy) : 0]);
    const chosen = outlines(cells.slice(0, MOST_LINES)), around = cells.length > MOST_LINES ? boxes(marked(cells, columns.length, rows.length), 1, columns.length) : outlines([]);
    const boxed = Object.fromEntries(Object.keys(chosen).map((side) => [side, [...around[side], ...chosen[side]]]));
    const colours = [...around.left.map(() => "#202020"), ...chosen.left.map((_, i) => LINES.light[i])];
    this.charts.heatmap.fill("halo", boxed);
    this.charts.heatmap.fill("selected", {...boxed, color: colours});
    const cursor = this.cursor && document.activeElement === this.part("heatmap") ? [this.cursor] : [];
    const inside = cursor.filter(([c, r]) => c < columns.length && r < rows.length);
    this.charts.heatmap.fill("cursor_halo", outlines(inside));
    this.charts.heatmap.fill("cursor", outlines(inside));
  }

  /** The numbers of a place: coordinates, value, quartiles, and numbers of seeds by status. */
  numbers(place) {
    const value = valueAt(this.about, this.counts, this.variable, this.asked, place);
    const quartiles = ["lower", "upper"].map((name) => valueAt(this.about, this.counts, this.variable, {name}, place));
    const where = this.variable.free.map((dim) => this.coordinate(dim, this.variable.indices(dim)[this.variable.position(dim, place[dim])]));
    const counts = countsOf(this.about, this.counts, place);
    const ended = this.about.statuses.map((word, code) => counts[code] ? `${counts[code]} ${word}` : "").filter(Boolean);
    return {where: where.join(", "), value, quartiles, seeds: counts.reduce((sum, count) => sum + count, 0), lost: total(counts, this.about.codes.lost), ended: ended.join(", ")};
  }
}

/** A table with 1 at the given cells. */
function marked(cells, columns, rows) {
  const found = new Uint8Array(columns * rows);
  for (const [c, r] of cells) found[r * columns + c] = 1;
  return found;
}

/** The finite values of several lists, thinned for long lists. */
function sampled(lists) {
  const found = [];
  for (const list of lists) {
    const step = Math.ceil(list.length / 20000);
    for (let i = 0; i < list.length; i += step) if (Number.isFinite(list[i])) found.push(list[i]);
  }
  return Float64Array.from(found);
}

/** The fractional index of a value among rising values. */
function betweenPlaces(places, value) {
  if (value <= places[0]) return 0;
  for (let i = 1; i < places.length; i++) {
    if (value <= places[i] + 1e-9) return i - 1 + (value - places[i - 1]) / (places[i] - places[i - 1]);
  }
  return places.length - 1;
}
