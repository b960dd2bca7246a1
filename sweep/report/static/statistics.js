/* Statistics over seeds, as in the package's `stats`: infinities count, NaN does not. */

const STATISTICS = [
  {name: "median", label: "median", words: "Median"},
  {name: "lower", label: "lower quartile", words: "Lower quartile"},
  {name: "upper", label: "upper quartile", words: "Upper quartile"},
  {name: "iqm", label: "interquartile mean", words: "Interquartile mean", exact: true},
  {name: "best", label: "best seed", words: "Best seed's", exact: true},
  {name: "worst", label: "worst seed", words: "Worst seed's", exact: true},
  {name: "lost", label: "share of seeds lost", share: true},
  {name: "reached", label: "share of seeds ...", share: true, exact: true},
];

/** Sort values with NaN last; return the number of those that are not NaN. */
function ordered(values) {
  values.sort();
  let known = values.length;
  while (known > 0 && Number.isNaN(values[known - 1])) known--;
  return known;
}

/** A quantile of the first `known` ordered values, linear between two of them; never computes inf - inf or inf * 0. */
function quantile(values, known, share) {
  if (known === 0) return NaN;
  const place = (known - 1) * share, below = Math.floor(place), part = place - below;
  if (part === 0) return values[below];
  return values[below] * (1 - part) + values[below + 1] * part;
}

/** Interquartile mean: a quarter of the seeds is cut off at each end, the seeds at the ends in part. */
function interquartileMean(values, known) {
  if (known === 0) return NaN;
  const trimmed = known / 4, whole = Math.floor(trimmed), part = 1 - (trimmed - whole);
  let sum = 0;
  for (let i = whole; i < known - whole; i++) {
    const weight = known - 2 * whole === 1 ? known / 2 : i === whole || i === known - whole - 1 ? part : 1;
    if (weight > 0) sum += weight * values[i];
  }
  return sum / (known / 2);
}

/** A statistic with the words for a variable: where neither direction is better, no seed is the best. */
function named(statistic, {better}) {
  const ends = {best: "lowest seed", worst: "highest seed"};
  return better || !(statistic.name in ends) ? statistic : {...statistic, label: ends[statistic.name]};
}

/** One statistic of ordered values. */
function statistic(name, values, known, {higher, threshold}) {
  switch (name) {
    case "median": return quantile(values, known, 0.5);
    case "lower": return quantile(values, known, 0.25);
    case "upper": return quantile(values, known, 0.75);
    case "iqm": return interquartileMean(values, known);
    case "best": return known ? values[higher ? known - 1 : 0] : NaN;
    case "worst": return known ? values[higher ? 0 : known - 1] : NaN;
    case "lost": return share(values, known, (value) => Math.abs(value) === Infinity);
    case "reached": return share(values, known, (value) => higher ? value >= threshold : value <= threshold);
  }
  throw new Error(`no statistic ${name}`);
}

function share(values, known, holds) {
  let count = 0;
  for (let i = 0; i < known; i++) if (holds(values[i])) count++;
  return known ? count / known : NaN;
}

/** The number of a cell among all combinations of swept values. */
function cellOf(about, place) {
  let cell = 0;
  for (const dim of about.swept) cell = cell * about.dims[dim].texts.length + place[dim];
  return cell;
}

/** Seeds of a cell by status. */
function countsOf(about, counts, place) {
  const size = about.statuses.length, start = cellOf(about, place) * size;
  return Array.from(counts.subarray(start, start + size));
}

const total = (counts, codes) => codes.reduce((sum, code) => sum + counts[code], 0);

/** The values of all seeds at a place, in the order of seeds. */
function ofSeeds(variable, place) {
  const start = variable.offset(place), step = variable.stride("seed"), values = new Float32Array(variable.seeds);
  for (let seed = 0; seed < values.length; seed++) values[seed] = variable.arrays.values[start + seed * step];
  return values;
}

/** One statistic at a place. */
function valueAt(about, counts, variable, asked, place) {
  if (variable.form === "exact") {
    const values = ofSeeds(variable, place);
    return statistic(asked.name, values, ordered(values), {higher: variable.higher, threshold: asked.threshold});
  }
  if (asked.name === "lost") return lostByEnd(about.codes, countsOf(about, counts, place));
  return variable.arrays[asked.name][variable.offset(place)];
}

function lostByEnd({lost, unseen}, counts) {
  const seen = counts.reduce((sum, count) => sum + count, 0) - total(counts, unseen);
  return seen ? total(counts, lost) / seen : NaN;
}

/** Indices thinned evenly to about `most`. */
const thinned = (indices, most) => indices.filter((_, i) => i % Math.max(1, Math.ceil(indices.length / most)) === 0);

/** A table of one statistic over two dimensions, row by row from the bottom; at most `most` indices of each. */
function tableOf(about, counts, variable, asked, place, x, y, most = Infinity) {
  const columns = thinned(variable.indices(x), most), rows = y ? thinned(variable.indices(y), most) : [0];
  const values = new Float64Array(rows.length * columns.length);
  const quick = variable.form !== "exact" && asked.name !== "lost";
  const array = quick ? variable.arrays[asked.name] : null, across = variable.stride(x);
  for (let r = 0; r < rows.length; r++) {
    const here = y ? {...place, [y]: rows[r]} : {...place};
    const start = quick ? variable.offset({...here, [x]: variable.indices(x)[0]}) : 0;
    for (let c = 0; c < columns.length; c++) {
      here[x] = columns[c];
      values[r * columns.length + c] = quick ? array[start + variable.position(x, columns[c]) * across] : valueAt(about, counts, variable, asked, here);
    }
  }
  return {columns, rows, values};
}
