// How columns of scores become lines: the file's form, ranges that a single spike does not flatten, pairs a pixel.

export const MOST_POINTS = 50_000;
const SAMPLE = 4096;

/** Read the form of a timeline: a head in JSON and columns of Float32, NaN where a frame has no value. */
export function readTimeline(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const begin = Math.ceil((4 + length) / 4) * 4;
  head.columns.forEach((column, number) => {
    column.values = new Float32Array(buffer, begin + 4 * number * head.frames, head.frames);
  });
  head.seconds = head.columns.find((column) => column.name === "seconds")?.values;
  head.columns = head.columns.filter((column) => column.name !== "seconds");
  head.rate = ratio(head.rate);
  return head;
}

function ratio(text) {
  const [over, under = 1] = String(text).split("/").map(Number);
  return over / under;
}

/** Gates with the columns that they judge frame by frame; what judges a whole reel has none. */
export function frameGates(head) {
  const judges = (gate, column) =>
    column.name === gate.metric || (column.metric === gate.metric && /^_\d+$/.test(column.name.slice(gate.metric.length)));
  return head.gates.flatMap((gate) => head.columns.filter((column) => judges(gate, column)).map((column) => ({ ...gate, column })));
}

/** The range in which nearly all values lie, and whether any lie outside: `{low, high, clipped}`. */
export function robustRange(columns, from, to) {
  const sample = [];
  let least = Infinity;
  let most = -Infinity;
  const stride = Math.max(1, Math.floor(((to - from) * columns.length) / SAMPLE));
  for (const values of columns) {
    const end = Math.min(to, values.length);
    for (let frame = Math.max(0, from); frame < end; frame += 1) {
      const value = values[frame];
      if (Number.isNaN(value) || !Number.isFinite(value)) continue;
      if (value < least) least = value;
      if (value > most) most = value;
      if (frame % stride === 0) sample.push(value);
    }
  }
  if (least > most) return { low: 0, high: 1, clipped: false };
  sample.sort((one, other) => one - other);
  const at = (share) => sample[Math.min(sample.length - 1, Math.floor(share * sample.length))] ?? least;
  const low = at(0.01);
  const high = at(0.99);
  const room = Math.max((high - low) * 0.35, Math.abs(high) * 0.01, 1e-6);
  return {
    low: Math.max(low - room, least - room * 0.15),
    high: Math.min(high + room, most + room * 0.15),
    clipped: least < low - room || most > high + room,
  };
}

function holes(values) {
  return values.some(Number.isNaN) ? Array.from(values, (value) => (Number.isNaN(value) ? null : value)) : values;
}

function pairs(values, from, to, stride) {
  const out = [];
  for (let begin = from; begin < to; begin += stride) {
    const end = Math.min(to, begin + stride, values.length);
    let lowest = -1;
    let highest = -1;
    for (let frame = begin; frame < end; frame += 1) {
      if (Number.isNaN(values[frame])) continue;
      if (lowest < 0 || values[frame] < values[lowest]) lowest = frame;
      if (highest < 0 || values[frame] > values[highest]) highest = frame;
    }
    const [first, second] = lowest < highest ? [lowest, highest] : [highest, lowest];
    out.push(first < 0 ? null : values[first], second < 0 ? null : values[second]);
  }
  return out;
}

/** What is drawn of columns between two frames: every value, or of very many the least and the greatest a pixel. */
export function drawable(columns, from, to, pixels) {
  const frames = columns[0].length;
  if (frames <= MOST_POINTS) return [Float64Array.from({ length: frames }, (_, frame) => frame), ...columns.map(holes)];
  const stride = Math.max(1, Math.ceil((to - from) / Math.max(1, pixels)));
  const places = [];
  for (let begin = from; begin < to; begin += stride) places.push(begin, begin + stride / 2);
  return [places, ...columns.map((values) => pairs(values, from, to, stride))];
}

/** The first frame of each shot around one: `[its own, the next's]`. */
export function shotAround(shots, frame, frames) {
  let index = 0;
  while (index + 1 < shots.length && shots[index + 1] <= frame) index += 1;
  return [shots[index] ?? 0, shots[index + 1] ?? frames - 1, shots[index - 1] ?? 0];
}

const MET = {
  "<": (value, bound) => value < bound,
  "<=": (value, bound) => value <= bound,
  ">": (value, bound) => value > bound,
  ">=": (value, bound) => value >= bound,
};

/** Whether a value does not meet a gate; what has no value is not judged. */
export function misses(gate, value) {
  return !Number.isNaN(value) && !MET[gate.relation](value, gate.value);
}

/** `HH:MM:SS:FF` of a frame, or the frame of such a time; seconds count as well. NaN where it is none. */
export function timecode(frame, rate) {
  const base = Math.max(1, Math.round(rate));
  const second = Math.floor(frame / base);
  const parts = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60, frame % base];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

export function frameOf(text, rate) {
  const base = Math.max(1, Math.round(rate));
  const parts = text.trim().split(/[:;]/).map((part) => (part === "" ? NaN : Number(part)));
  if (parts.some(Number.isNaN) || parts.length > 4) return NaN;
  if (parts.length === 4) return ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * base + parts[3];
  return Math.floor(parts.reduce((seconds, part) => seconds * 60 + part, 0) * rate);
}
