/* Reads arrays that packing.py wrote: planes of bytes, zlib, base64; and decodes 16-bit codes. */

const TYPES = {float32: Float32Array, uint16: Uint16Array, int8: Int8Array};
const CODES = {unseen: 0, zero: 1, first: 2, last: 65533, below: 65534, above: 65535};

/** Read an array from the text of a script element. */
async function unpacked(text, {dtype}) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new DecompressionStream("deflate"), writer = stream.writable.getWriter();
  const read = new Response(stream.readable).arrayBuffer();
  await Promise.all([writer.write(bytes), writer.close(), read]);
  const planes = new Uint8Array(await read);
  const width = TYPES[dtype].BYTES_PER_ELEMENT, count = planes.length / width;
  const mixed = new Uint8Array(planes.length);
  for (let plane = 0; plane < width; plane++) {
    const start = plane * count;
    for (let i = 0; i < count; i++) mixed[i * width + plane] = planes[start + i];
  }
  return new TYPES[dtype](mixed.buffer);
}

/** Decode codes into values, by a table of all codes. */
function decoded(codes, {low, high, log}) {
  const first = log ? Math.log(low) : low, last = log ? Math.log(high) : high;
  const table = new Float64Array(65536);
  for (let code = CODES.first; code <= CODES.last; code++) {
    const place = first + (code - CODES.first) / (CODES.last - CODES.first) * (last - first);
    table[code] = log ? Math.exp(place) : place;
  }
  table[CODES.unseen] = NaN;
  if (log) table[CODES.zero] = 0;
  table[CODES.below] = -Infinity;
  table[CODES.above] = Infinity;
  const values = new Float64Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = table[codes[i]];
  return values;
}

/** The arrays of a section's store; each is unpacked on its first use. */
class Store {
  constructor(about) {
    this.about = about;
    this.waiting = new Map();
  }

  array(form) {
    if (!this.waiting.has(form.name)) {
      const element = document.querySelector(`script[data-array="${CSS.escape(this.about.key)}:${CSS.escape(form.name)}"]`);
      this.waiting.set(form.name, unpacked(element.textContent, form));
    }
    return this.waiting.get(form.name);
  }

  /** Give a variable with its arrays: `values` of every seed, or `median`, `lower` and `upper`. */
  load(name) {
    const key = `variable ${name}`;
    if (!this.waiting.has(key)) this.waiting.set(key, this.read(name));
    return this.waiting.get(key);
  }

  async read(name) {
    const variable = this.about.variables[name];
    if (variable.form === "exact") {
      return new Variable(this.about, name, variable, {values: await this.array(variable.values)}, variable.values.shape);
    }
    const arrays = {};
    for (const [part, form] of Object.entries(variable.arrays)) {
      arrays[part] = decoded(await this.array(form), variable.scale);
    }
    return new Variable(this.about, name, variable, arrays, variable.arrays.median.shape);
  }
}

/** A labelled array: places are {dimension: index}, with indices as in the store. */
class Variable {
  constructor(about, name, {label, better, dims, form, kept}, arrays, shape) {
    Object.assign(this, {name, label, better, higher: better === "higher", dims, form, arrays, shape, kept: kept ?? {}});
    this.strides = new Array(shape.length).fill(1);
    for (let i = shape.length - 2; i >= 0; i--) this.strides[i] = this.strides[i + 1] * shape[i + 1];
    this.seeds = form === "exact" && dims.includes("seed") ? shape[dims.indexOf("seed")] : 1;
    const rank = (dim) => about.swept.includes(dim) ? 0 : dim === "epoch" ? 2 : 1;
    this.free = dims.filter((dim) => dim !== "seed").sort((a, b) => rank(a) - rank(b));  // in reading order
  }

  stride(dim) {
    const place = this.dims.indexOf(dim);
    return place < 0 ? 0 : this.strides[place];
  }

  /** The indices, in the store, that are kept along a dimension. */
  indices(dim) {
    const size = this.shape[this.dims.indexOf(dim)] ?? 1;
    return this.kept[dim] ?? Array.from({length: size}, (_, i) => i);
  }

  /** The place, among those kept, nearest to an index in the store. */
  position(dim, index) {
    if (!(dim in this.kept)) return index;
    const kept = this.kept[dim];
    let best = 0;
    for (let i = 1; i < kept.length; i++) if (Math.abs(kept[i] - index) < Math.abs(kept[best] - index)) best = i;
    return best;
  }

  offset(place) {
    let offset = 0;
    for (const dim of this.dims) {
      if (dim !== "seed") offset += this.stride(dim) * this.position(dim, place[dim] ?? 0);
    }
    return offset;
  }

  /** Values along one dimension at a place, of one seed or of a part such as `median`. */
  along(dim, place, {seed = 0, part = "values"} = {}) {
    const start = this.offset({...place, [dim]: this.indices(dim)[0]}) + seed * this.stride("seed");
    const step = this.stride(dim), array = this.arrays[part];
    return this.indices(dim).map((_, i) => array[start + i * step]);
  }
}
