/* The selected cells: curves, fits, and a table with the commands that train lanes again. */

const MOST_POINTS = 250_000; // of the thin lines in one plot

/** The number of seeds drawn for each cell: all, unless these are too many points. */
function seedsDrawn(variable, cells, points) {
  return Math.max(1, Math.min(variable.seeds, Math.floor(MOST_POINTS / (Math.max(1, cells) * points))));
}

/** The words that say which seeds are drawn. */
function seedsTold(variable, drawn) {
  if (variable.form !== "exact") return "median and quartiles";
  return `${drawn < variable.seeds ? `${drawn} of ${variable.seeds} seeds` : "every seed"}, the median and quartiles`;
}

Object.assign(Section.prototype, {
  async drawCurves() {
    const turn = this.fresh, {variable} = this;
    const cells = this.state.cells.slice(0, MOST_LINES), colours = lineColours();
    const seeds = seedsDrawn(variable, cells.length, variable.indices("epoch").length);
    const places = Float64Array.from(variable.indices("epoch"), (i) => this.about.dims.epoch.places[i]);
    const lines = cells.map(([x, y], i) => ({...this.curve(variable, this.placeOf(x, y), "epoch", seeds), colour: colours[i], dash: DASHES[i]}));
    const all = this.about.dims.epoch.places;
    const log = spansDecades(lines.flatMap((line) => Array.from(line.median)));
    const moment = cells.length ? this.about.dims.epoch.places[this.placeOf(...cells[0]).epoch] : undefined;
    const span = this.sensible(lines, log);
    drawLines(this.charts.curves, {places, lines, moment, log, span,
      x: {span: [all[0], all[all.length - 1]], ticks: dimensionTicks(this.about.dims.epoch), label: this.about.dims.epoch.label},
      y: {label: variable.label.length > 30 ? variable.name.replaceAll("_", " ") : variable.label}});
    this.drawn.curves = {epochs: variable.indices("epoch"), lines};
    const shown = this.state.cells.length > cells.length ? `${cells.length} of ${this.state.cells.length} selected cells` : cells.length === 1 ? "the selected cell" : `${cells.length} selected cells`;
    this.part("curves-caption").textContent = cells.length ? `Curves of ${shown}: ${seedsTold(variable, seeds)}` : "Select a cell to see its curves";
    await this.drawFit(cells, turn);
    this.drawTable(cells);
  },

  /** The curves at one place: those of the seeds, and their median and quartiles. */
  curve(variable, place, dim, most = Infinity) {
    if (variable.form !== "exact") {
      return {place, seeds: [], ...Object.fromEntries(["median", "lower", "upper"].map((part) => [part, variable.along(dim, place, {part})]))};
    }
    const every = Array.from({length: variable.seeds}, (_, seed) => variable.along(dim, place, {seed}));
    const found = {place, seeds: every.slice(0, most), median: [], lower: [], upper: []};
    for (let i = 0; i < every[0].length; i++) {
      const values = Float32Array.from(every, (seed) => seed[i]), known = ordered(values);
      found.median.push(quantile(values, known, 0.5));
      found.lower.push(quantile(values, known, 0.25));
      found.upper.push(quantile(values, known, 0.75));
    }
    return found;
  },

  /** The ends of the value axis, limited by the first medians, so that one diverging lane does not flatten the others. */
  sensible(lines, log) {
    const lists = lines.flatMap((line) => line.seeds.length ? [...line.seeds, line.median] : [line.lower, line.median, line.upper]);
    let [low, high] = extent(lists.map((list) => log ? list.filter((value) => value > 0) : list));
    const start = lines.map((line) => line.median[0]).filter((value) => Number.isFinite(value) && value > 0);
    if (log && start.length) high = Math.min(high, 30 * Math.max(...start));
    return low <= high ? [low, high] : [low, low];
  },

  async drawFit(cells, turn) {
    const box = this.part("fitting");
    box.hidden = !("prediction" in this.about.variables) || !cells.length;
    if (box.hidden) { this.drawn.fit = null; return; }
    const fit = await this.store.load("prediction");
    const target = "target" in this.about.variables ? await this.store.load("target") : null;
    if (turn !== this.fresh) return;
    const {dims} = this.about, colours = lineColours(), points = fit.indices("x");
    const epoch = this.placeOf(...cells[0]).epoch, when = this.nearestSnapshot(fit, epoch);
    const seeds = seedsDrawn(fit, cells.length, points.length);
    const lines = cells.map(([x, y], i) => ({...this.curve(fit, {...this.placeOf(x, y), snapshot_epoch: when}, "x", seeds), colour: colours[i], dash: DASHES[i]}));
    const places = Float64Array.from(points, (i) => dims.x.places[i]);
    const own = target?.dims.includes("seed") ? this.state.seed : 0;  // each seed may have another target
    const single = fit.form === "exact" && target?.dims.includes("seed");
    if (single) {
      for (const line of lines) Object.assign(line, {seeds: [], lower: [], upper: [], median: fit.along("x", {...line.place, snapshot_epoch: when}, {seed: own})});
    }
    const wanted = target?.along("x", this.placeOf(...cells[0]), {seed: own}), all = extent([wanted ?? lines[0].median]);
    const margin = 0.25 * (all[1] - all[0]) || 1;
    drawLines(this.charts.fit, {places, lines, target: wanted, log: false, span: [all[0] - margin, all[1] + margin],
      targetPlaces: wanted && Float64Array.from(target.indices("x"), (i) => dims.x.places[i]),
      x: {span: [dims.x.places[0], dims.x.places[dims.x.places.length - 1]], ticks: valueTicks(dims.x.places[0], dims.x.places[dims.x.places.length - 1], false), label: dims.x.label},
      y: {label: "output"}});
    this.drawn.fit = {snapshot: when, lines, target: wanted};
    const whose = single ? `seed ${this.about.seeds[own]}` : seedsTold(fit, seeds);
    const which = !single && (target?.dims.includes("seed") || this.about.variables.target?.alone) ? `target of seed ${this.about.seeds[own]}` : "target";
    this.part("fit-caption").textContent = `Fit at epoch ${dims.snapshot_epoch.texts[when]}: ${whose}${wanted ? `, over the ${which} in grey` : ""}`;
  },

  /** The stored snapshot nearest to a record. */
  nearestSnapshot(fit, epoch) {
    const {dims} = this.about, now = dims.epoch.values[epoch];
    const kept = fit.indices("snapshot_epoch"), times = kept.map((i) => dims.snapshot_epoch.values[i]);
    let best = 0;
    times.forEach((time, i) => { if (Math.abs(time - now) < Math.abs(times[best] - now)) best = i; });
    return kept[best];
  },

  drawTable(cells) {
    const box = this.part("selected"), colours = lineColours();
    const rows = cells.map(([x, y], i) => {
      const place = this.placeOf(x, y), {where, value, quartiles, ended} = this.numbers(place);
      const dash = svg("svg", {width: 34, height: 10, "aria-hidden": "true"}, svg("line", {x1: 1, x2: 33, y1: 5, y2: 5, stroke: colours[i], "stroke-width": 2.4, "stroke-dasharray": DASHES[i].join(" ") || "none"}));
      const seed = this.seedChoice(place), code = make("code", {}, this.command(place, this.state.seed));
      const button = make("button", {type: "button"}, "Copy");
      button.addEventListener("click", () => copied(code, button));
      const numbers = [short(value), quartiles.map(short).join(" to "), ended].map((text) => make("td", {}, text));
      const again = make("td", {colspan: 4}, make("div", {class: "command"}, seed, code, button));
      return [make("tr", {class: "cell"}, make("td", {}, dash, " ", where), ...numbers), make("tr", {}, again)];
    });
    if (!rows.length) { box.replaceChildren(); return; }
    const head = make("tr", {}, ...["selected cell", this.asked.share ? "share" : this.asked.label, "quartiles", "seeds"].map((text) => make("th", {scope: "col"}, text)));
    const note = this.about.command.note ? make("p", {class: "readout"}, `To train again, ${this.about.command.note}.`) : "";
    box.replaceChildren(make("div", {class: "wide"}, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.flat()))), note);
  },

  /** A select element for the seed whose lane is trained again, and whose fit is shown if targets differ by seed. */
  seedChoice(place) {
    const select = make("select", {"aria-label": "Seed of the lane"}), count = this.about.seeds.length;
    this.about.seeds.forEach((seed, i) => {
      const status = this.statuses ? `, ${this.about.statuses[this.statuses[cellOf(this.about, place) * count + i]]}` : "";
      select.append(make("option", {value: i}, `seed ${seed}${status}`));
    });
    select.value = this.state.seed;
    select.addEventListener("change", () => this.set({seed: Number(select.value)}));
    return select;
  },

  /** The command line that trains one lane again. */
  command(place, seed) {
    const {start} = this.about.command, all = {...place, seed};
    const pairs = this.about.knobs.map(({name, dims, values, shape}) => {
      const index = dims.reduce((sum, dim, i) => sum * shape[i] + all[dim], 0);
      return values[index] === "" ? "" : `${name}=${values[index]}`;
    }).filter(Boolean).join(",");
    return `${start} ${/^[\w@%+=:,./-]+$/.test(pairs) ? pairs : `'${pairs.replaceAll("'", "'\\''")}'`}`;
  },
});
