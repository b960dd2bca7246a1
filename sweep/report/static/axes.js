/* Numbers as text, and the ticks of axes. */

/** Write a number as short text: 64, 0.001, 1e-5, 1250. */
function short(value) {
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "-∞";
  if (Number.isNaN(value)) return "no data";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e3 && size < 1e6) return value.toFixed(0);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/** Number of significant digits in a text, to choose round numbers. */
const digits = (text) => text.replace(/e.*$/, "").replace(/^-?[0.]*/, "").replace(/\.?0+$/, "").length;

/** Choose which values of a row get a tick: at most as many as fit, round ones first. */
function labelled(texts, most) {
  const apart = Math.max(1, Math.ceil(texts.length / Math.max(2, most)));
  const chosen = [];
  for (let start = 0; start < texts.length; start = chosen.at(-1) + apart) {
    let best = start;
    for (let i = start; i < Math.min(start + Math.ceil(apart / 3), texts.length); i++) {
      if (digits(texts[i]) < digits(texts[best])) best = i;
    }
    chosen.push(best);
  }
  return chosen;
}

/** Ticks of an axis of values: places (logarithms on a log axis) and their texts. */
function valueTicks(low, high, log, most = 7) {
  if (!(high > low)) return [[low, short(log ? 10 ** low : low)]];
  if (log) return logTicks(low, high, most);
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power * most >= high - low);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push([i * step, short(Number((i * step).toPrecision(12)))]);
  }
  return ticks;
}

function logTicks(low, high, most) {
  const factors = high - low > 2.2 ? [1] : high - low > 0.9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const stride = Math.max(1, Math.ceil((high - low) / most));
  const ticks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % stride) continue;
    for (const factor of factors) {
      const place = power + Math.log10(factor);
      if (place >= low - 1e-9 && place <= high + 1e-9) ticks.push([place, short(factor * 10 ** power)]);
    }
  }
  return ticks.length > 1 ? ticks : valueTicksOfLog(low, high);
}

/** Ticks of a log axis that is too short for a round number: its ends. */
const valueTicksOfLog = (low, high) => [low, high].map((place) => [place, short(10 ** place)]);

/** Ticks of a stored dimension drawn to scale: zero, which has a separate place, and round numbers. */
function dimensionTicks({kind, places, texts}) {
  if (kind === "category") return labelled(texts, 8).map((i) => [places[i], texts[i]]);
  if (kind !== "log") return valueTicks(places[0], places[places.length - 1], false);
  const apart = texts[0] === "0" ? 1 : 0;
  const round = logTicks(places[apart], places[places.length - 1], 7);
  return apart ? [[places[0], "0"], ...round] : round;
}

/** The ends of a colour scale by the rule of the figures (plots/drawing/cells.py): cells far outside the 5% to 95% quantiles do
 *  not stretch it, nor do values above `highest`. told: which ends are such quantiles. */
function scaleEnds(values, log, highest = Infinity) {
  const rising = Float64Array.from(values.filter(Number.isFinite)).sort(), last = rising.length - 1;
  if (last < 0) return {low: 0, high: 1, told: ""};
  const apart = last >= 3 ? Math.ceil(0.05 * last) : 0;
  const [first, near, middle, far, end] = [0, apart, (last + 1) >> 1, last - apart, last].map((i) => rising[i]);
  const top = Math.max(Math.min(end, highest), first);
  let low = first, high = top;
  if (log) {
    if (top / far > 1e3) high = far;
    low = Math.max(first, high * 1e-10);
    if (low > middle) low = near;
  } else if (far > near) {
    if (near - first > 10 * (far - near)) low = near;
    if (top - far > 10 * (far - near)) high = far;
  }
  const quantiles = [...(low === near && low > first ? ["5%"] : []), ...(high === far && high < end ? ["95%"] : [])];
  return {low, high, told: quantiles.length ? `ends at ${quantiles.join(" and ")} of the cells` : ""};
}

/** Whether numbers call for a logarithmic scale: none is negative, and those above zero span more than a decade. */
function spansDecades(values) {
  let low = Infinity, high = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < 0) return false;
    if (value > 0) { low = Math.min(low, value); high = Math.max(high, value); }
  }
  return high > 10 * low;
}
