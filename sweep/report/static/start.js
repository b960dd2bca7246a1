/* The start: sections begin when they come into view; the address holds the reader's choices.
 *
 * `window.sweepReport` is for tests and for the browser's console:
 *   ready, isReady            a promise that the first section is drawn, and whether it is
 *   sections[key].state       metric, statistic, x, y, at, threshold, seed, cells
 *   sections[key].set({...})  changes any of these; a promise
 *   sections[key].drawn       heatmap (columns, rows, values, kinds, low, high, log), curves, fit: what is drawn
 *   sections[key].choose([column, row], more), .brush({x0, x1, y0, y1}), .hover([column, row])
 *   sections[key].numbers(place), .command(place, seed)
 */

const shared = JSON.parse(document.getElementById("shared").textContent);
const sections = {};
let pending = 0;

shared.children = (key) => Object.entries(shared.parents).filter(([, parent]) => parent === key).map(([child]) => sections[child]);
shared.changed = () => {
  clearTimeout(pending);
  pending = setTimeout(remember, 150);
};

/** Write all differences from the first view into the address. */
function remember() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const section of Object.values(sections)) {
    if (!section.drawn.heatmap) continue;  // a section that has not begun, or is just beginning, keeps its part
    for (const [name, text] of Object.entries(told(section))) {
      if (text === "") words.delete(`${section.key}.${name}`);
      else words.set(`${section.key}.${name}`, text);
    }
  }
  const hash = `#${words}`;
  if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
}

function told({state, first}) {
  const changed = (name) => state[name] === first[name] ? "" : String(state[name]);
  const moved = Object.entries(state.at).filter(([dim, index]) => index !== first.at[dim]);
  return {
    metric: changed("metric"), statistic: changed("statistic"), x: changed("x"), y: changed("y"),
    seed: changed("seed"),
    threshold: state.statistic === "reached" ? String(state.threshold) : "",
    at: moved.map(([dim, index]) => `${dim}:${index}`).join(","),
    cells: state.cells.slice(0, 50).map((cell) => cell.join(":")).join(","),
  };
}

/** Read a section's part of the address. */
function recalled(key) {
  const words = new URLSearchParams(location.hash.slice(1)), found = {};
  for (const name of ["metric", "statistic", "x", "y"]) {
    if (words.has(`${key}.${name}`)) found[name] = words.get(`${key}.${name}`);
  }
  if (found.metric && !sections[key].metrics.includes(found.metric)) delete found.metric;
  if (words.has(`${key}.seed`)) found.seed = Math.round(Number(words.get(`${key}.seed`))) || 0;
  if (words.has(`${key}.threshold`)) found.threshold = Number(words.get(`${key}.threshold`)) || 0;
  const pairs = (name) => (words.get(`${key}.${name}`) ?? "").split(",").filter(Boolean).map((pair) => pair.split(":"));
  const known = pairs("at").filter(([dim]) => Object.hasOwn(sections[key].about.dims, dim));
  if (known.length) found.at = Object.fromEntries(known.map(([dim, index]) => [dim, Number(index)]));
  const cells = pairs("cells").map((pair) => pair.map(Number)).filter((pair) => pair.length === 2 && pair.every(Number.isInteger));
  if (cells.length) found.cells = cells;
  return found;
}

/** The first view of a section with the changes in the address. */
function afresh(key) {
  const {first} = sections[key], found = recalled(key);
  return {...structuredClone(first), ...found, at: {...first.at, ...found.at}};
}

const started = new Map();
function begin(section) {
  if (!started.has(section.key)) started.set(section.key, section.start(recalled(section.key)));
  return started.get(section.key);
}

for (const element of document.querySelectorAll("section.store")) {
  const section = new Section(element, shared);
  sections[section.key] = section;
}
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => {  // the address holds choices, not the scroll position
    event.preventDefault();
    sections[link.dataset.section].element.scrollIntoView();
  });
}
const sight = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) if (isIntersecting) begin(sections[target.dataset.key]);
}, {rootMargin: "300px"});
for (const section of Object.values(sections)) sight.observe(section.element);
addEventListener("hashchange", () => {
  clearTimeout(pending);  // otherwise the last view would replace the one in the new address
  for (const [key, drawn] of started) drawn.then(() => sections[key].state && sections[key].set(afresh(key)));
});

window.sweepReport = {sections, ready: begin(Object.values(sections)[0]), isReady: false, begin: (key) => begin(sections[key])};
window.sweepReport.ready.then(() => {
  window.sweepReport.isReady = true;
  if (shared.reload) setTimeout(again, shared.reload * 1000);
});

function again() {
  remember();
  location.reload();
}
