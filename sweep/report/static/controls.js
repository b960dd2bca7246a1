/* The controls: select elements for metric, statistic, axes and fixed dimensions, and a slider over epochs. */

Object.assign(Section.prototype, {
  /** Draw the select elements for metric, statistic, axes and fixed dimensions, and the slider over epochs. */
  drawControls() {
    const {state, variable, about} = this, {free} = variable;
    const label = (dim) => about.dims[dim].label;
    const controls = [
      this.choice("metric", "Metric", this.metrics.map((name) => [name, name.replaceAll("_", " ")]), state.metric, (metric) => this.set({metric})),
      this.choice("statistic", "Over seeds", STATISTICS.filter(({exact}) => !exact || variable.form === "exact").map((each) => named(each, variable)).map(({name, label}) => [name, label.replace("...", variable.higher ? "at least" : "at most")]), state.statistic, (statistic) => this.set({statistic})),
    ];
    if (state.statistic === "reached") controls.push(this.number("threshold", variable.higher ? "At least" : "At most", state.threshold, (threshold) => this.set({threshold})));
    controls.push(this.choice("x", "Across", free.map((dim) => [dim, label(dim)]), state.x, (x) => this.set(x === state.y ? {x, y: state.x} : {x})));
    if (state.y) controls.push(this.choice("y", "Up", free.map((dim) => [dim, label(dim)]), state.y, (y) => this.set(y === state.x ? {y, x: state.y} : {y})));
    for (const dim of free.filter((dim) => dim !== state.x && dim !== state.y && dim !== "epoch" && this.size(dim) > 1)) {
      const values = variable.indices(dim).map((i) => [String(i), about.dims[dim].texts[i]]);
      controls.push(this.choice(`at-${dim}`, label(dim), values, String(this.shownIndex(dim)), (index) => this.set({at: {[dim]: Number(index)}})));
    }
    keepFocus(this.element.querySelector(".controls"), controls);
    this.drawSlider(free.includes("epoch") && state.x !== "epoch" && state.y !== "epoch");
  },

  drawSlider(wanted) {
    const box = this.part("slider"), records = this.variable.indices("epoch");
    if (!wanted) { box.replaceChildren(); this.slider = null; return; }
    if (!this.slider) {
      const input = make("input", {type: "range", min: 0, step: 1, "data-control": "epoch"}), output = make("output");
      input.addEventListener("input", () => this.set({at: {epoch: this.variable.indices("epoch")[Number(input.value)]}}));
      box.replaceChildren(make("label", {}, "Epoch", input, output));
      this.slider = {input, output};
    }
    const {input, output} = this.slider, text = this.about.dims.epoch.texts[this.shownIndex("epoch")];
    input.max = records.length - 1;
    input.value = this.variable.position("epoch", this.state.at.epoch);
    input.setAttribute("aria-valuetext", `epoch ${text}`);
    output.textContent = `epoch ${text}`;
  },

  choice(name, label, options, value, then) {
    const select = make("select", {"data-control": name}, ...options.map(([key, text]) => make("option", {value: key}, text)));
    select.value = value;
    select.addEventListener("change", () => then(select.value));
    return make("label", {}, label, select);
  },

  number(name, label, value, then) {
    const input = make("input", {type: "number", step: "any", value, "data-control": name});
    input.addEventListener("change", () => Number.isFinite(input.valueAsNumber) && then(input.valueAsNumber));
    return make("label", {}, label, input);
  },
});
