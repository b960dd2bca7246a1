/* Mouse and keyboard in the heatmap. */

Object.assign(Section.prototype, {
  listen() {
    const {plot} = this.charts.heatmap, box = this.part("heatmap");
    plot.on_event("mousemove", ({x, y, sx, sy}) => this.hover(this.cellAt(x, y), {x: sx, y: sy}));
    plot.on_event("mouseleave", () => this.hover(null));
    const tapped = ({x, y, modifiers}) => {
      const cell = this.cellAt(x, y);
      if (cell) this.choose(cell, modifiers.shift || modifiers.ctrl);
    };
    plot.on_event("tap", tapped);
    plot.on_event("doubletap", tapped);  // also two quick clicks on different cells
    plot.on_event("selectiongeometry", ({geometry, final}) => {
      if (final && geometry.type === "rect") this.brush(geometry);
    });
    box.addEventListener("keydown", (event) => this.pressed(event));
    box.addEventListener("focus", () => {
      this.cursor ??= this.state.cells.length ? this.where(this.state.cells[0]) : [0, 0];
      this.drawSelection();
    });
    box.addEventListener("blur", () => this.drawSelection());
    new ResizeObserver(() => this.drawn.heatmap && requestAnimationFrame(() => this.retick())).observe(box);
  },

  /** The column and row of the heatmap at a mouse position; null outside of it. */
  cellAt(x, y) {
    const {columns, rows} = this.drawn.heatmap, c = Math.round(x), r = Math.round(y);
    return c >= 0 && r >= 0 && c < columns.length && r < rows.length ? [c, r] : null;
  },

  /** The indices, in the store, of a column and a row. */
  indicesAt([c, r]) {
    return [this.drawn.heatmap.columns[c], this.drawn.heatmap.rows[r]];
  },

  /** Select a cell by column and row; with `more` add it to the selected cells, or remove it from them. */
  choose(cell, more) {
    const chosen = this.indicesAt(cell), same = ([x, y]) => x === chosen[0] && y === chosen[1];
    const {cells} = this.state, rest = cells.filter((each) => !same(each));
    const next = !more ? [chosen] : rest.length < cells.length && rest.length ? rest : [...rest, chosen];
    return this.reselect(next);
  },

  async reselect(cells) {
    if (Object.keys(this.coming).length) return this.set({cells});  // otherwise changes that are still loading would be lost
    this.fresh++;
    this.state = {...this.state, cells};
    this.drawSelection();
    await this.drawCurves();
    this.shared.changed();
  },

  /** Select the cells of a rectangle, given in columns and rows. */
  brush({x0, x1, y0, y1}) {
    const {columns, rows} = this.drawn.heatmap, found = [];
    for (let r = Math.max(0, Math.round(Math.min(y0, y1))); r <= Math.min(rows.length - 1, Math.round(Math.max(y0, y1))); r++) {
      for (let c = Math.max(0, Math.round(Math.min(x0, x1))); c <= Math.min(columns.length - 1, Math.round(Math.max(x0, x1))); c++) found.push(this.indicesAt([c, r]));
    }
    return found.length ? this.reselect(found) : undefined;
  },

  /** Show a cell's numbers beside the mouse; nothing outside of the heatmap. */
  hover(cell, at) {
    const tip = this.part("tip");
    tip.hidden = !cell;
    this.hovered = cell;
    if (!cell) return;
    const {where, value, quartiles, ended} = this.numbers(this.placeOf(...this.indicesAt(cell)));
    const lines = [make("p", {}, make("b", {}, short(value)), ` ${this.asked.share ? "of seeds" : this.asked.label}`)];
    lines.push(make("p", {}, where), make("p", {}, `quartiles ${quartiles.map(short).join(" to ")}`), make("p", {}, `seeds: ${ended}`));
    tip.replaceChildren(...lines);
    if (!at) return;
    const panel = this.part("heatmap"), left = Math.min(at.x + 16, panel.clientWidth - tip.offsetWidth);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${panel.offsetTop + at.y + 18}px`;
  },

  where([x, y]) {
    return [this.variable.position(this.state.x, x), this.state.y ? this.variable.position(this.state.y, y) : 0];
  },

  /** Arrow keys move over the cells, Enter or Space selects. */
  pressed(event) {
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}, {columns, rows} = this.drawn.heatmap;
    const [c, r] = this.cursor ?? [0, 0];
    if (event.key in steps) {
      const [across, up] = steps[event.key];
      this.cursor = [Math.max(0, Math.min(columns.length - 1, c + across)), Math.max(0, Math.min(rows.length - 1, r + up))];
      this.drawSelection();
      this.tell(this.cursor);
    } else if (event.key === "Enter" || event.key === " ") {
      this.choose([c, r], event.shiftKey);
      this.tell([c, r]);
    } else {
      return;
    }
    event.preventDefault();
  },

  /** Write a cell's numbers where a screen reader announces them. */
  tell(cell) {
    const {where, value, quartiles, ended} = this.numbers(this.placeOf(...this.indicesAt(cell)));
    this.part("readout").textContent = `${where}: ${short(value)} (${this.asked.label}), quartiles ${quartiles.map(short).join(" to ")}; ${ended}`;
  },

  retick() {
    const width = this.part("heatmap").clientWidth;
    if (width && width !== this.width) {
      this.width = width;
      this.drawMap();
    }
  },
});
