// A reel's scores over its frames: one small plot a metric, one cursor for all, and the frame under it in both pictures.

import { showPicture } from "./pictures.js";
import { MOST_POINTS, drawable, frameGates, frameOf, misses, readTimeline, robustRange, shotAround, timecode } from "./plots.js";

const HEIGHT = 72;
const AXIS = 20; // the last plot alone says which frames these are
const IMAGE_WIDTH = 960;

/** Ink of the sheet, as the canvas needs it: a colour that depends on the theme is resolved by an element that wears it. */
function inks(root) {
  const probe = root.appendChild(document.createElement("i"));
  const ink = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { line: ink("ink"), soft: ink("soft"), grid: ink("line"), band: ink("raised"), gate: ink("failed"), other: ink("running"), held: ink("held") };
  probe.remove();
  return found;
}

class Timeline {
  constructor(root) {
    this.root = root;
    this.frame = Number(root.dataset.frame) || 0;
    this.rate = Number(root.dataset.rate) || 24;
    this.last = Math.max(0, Number(root.dataset.frames) - 1);
    this.shots = [0];
    this.gates = [];
    this.plots = [];
    this.window = [0, Math.max(1, this.last)];
    this.speed = 0;
    this.tracks = root.querySelector("[data-tracks]");
    this.told = root.querySelector("[data-tracks-told]");
    this.listen();
    this.go(this.frame, { quick: true });
  }

  async load() {
    try {
      const [head, other] = await Promise.all([this.read(this.root.dataset.url), this.read(this.root.dataset.other)]);
      if (!head) return;
      this.take(head, other);
      this.told.hidden = true;
    } catch (error) {
      this.told.textContent = error.message;
    }
  }

  async read(url) {
    if (!url) return null;
    const response = await fetch(url);
    if (response.ok) return readTimeline(await response.arrayBuffer());
    const told = await response.json().catch(() => null);
    throw new Error(told?.error ? `${told.error.message} ${told.error.remedy}` : "The scores could not be read.");
  }

  take(head, other) {
    this.head = head;
    this.other = other;
    this.last = Math.max(0, head.frames - 1);
    this.rate = head.rate || this.rate;
    this.shots = head.shots.length ? head.shots : [0];
    this.gates = frameGates(head);
    this.window = [0, Math.max(1, this.last)];
    this.draw();
    this.go(this.frame, { quick: true });
  }

  draw() {
    for (const plot of this.plots) plot.destroy();
    this.tracks.replaceChildren();
    this.ink = inks(this.root);
    this.columns = this.head.columns.filter((column) => column.metric || this.withSteps);
    this.plots = this.columns.map((column) => this.track(column));
    this.place();
  }

  track(column) {
    const box = this.tracks.appendChild(document.createElement("div"));
    box.className = "track";
    const name = box.appendChild(document.createElement("div"));
    name.className = "name";
    const gates = this.gates.filter((gate) => gate.column === column);
    const told = gates.map((gate) => ` · gate ${gate.relation} ${gate.value}`).join("");
    name.appendChild(document.createElement("span")).textContent = `${column.name}${column.unit && column.unit !== "1" ? ` (${column.unit})` : ""}${told}`;
    column.output = name.appendChild(document.createElement("output"));
    const others = this.other?.columns.filter((each) => each.name === column.name).map((each) => each.values) ?? [];
    column.lines = [column.values, ...others.map((values) => padded(values, this.head.frames))];
    const plot = new uPlot(this.options(column, gates), this.data(column), box);
    this.steer(plot);
    return plot;
  }

  data(column) {
    const [from, to] = this.window;
    return drawable(column.lines, Math.max(0, Math.floor(from)), Math.min(this.head.frames, Math.ceil(to) + 1), this.width());
  }

  width() {
    return Math.max(240, this.tracks.clientWidth - 8);
  }

  options(column, gates) {
    const { ink } = this;
    const isLast = column === this.columns.at(-1);
    const axis = { stroke: ink.soft, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: this.width(),
      height: HEIGHT + (isLast ? AXIS : 0),
      padding: [6, 8, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "timeline" }, points: { show: false }, drag: { x: true, y: false, setScale: true } },
      scales: { x: { time: false, range: (_, low, high) => this.bounds(low, high) }, y: { range: (u) => this.range(u, column, gates) } },
      axes: [
        { ...axis, size: isLast ? AXIS : 2, gap: 2, space: 70, ...(!isLast && { values: (_, splits) => splits.map(() => "") }) },
        { ...axis, size: 52, gap: 4, space: 26 },
      ],
      series: [
        {},
        { stroke: ink.line, width: 1, points: { show: false } },
        ...column.lines.slice(1).map(() => ({ stroke: ink.other, width: 1, dash: [4, 3], points: { show: false } })),
      ],
      hooks: {
        drawClear: [(u) => this.drawBands(u)],
        draw: [(u) => this.drawMarks(u, column, gates)],
        setScale: [(u, key) => key === "x" && this.follow(u)],
      },
    };
  }

  bounds(low, high) {
    return low === null || high - low < 4 ? this.window : [Math.max(0, low), Math.min(Math.max(1, this.last), high)];
  }

  range(u, column, gates) {
    const from = Math.floor(u.scales.x.min ?? 0);
    const to = Math.ceil(u.scales.x.max ?? this.last) + 1;
    const { low, high } = robustRange(column.lines, from, to);
    const span = high - low || 1;
    // A gate far from all values would flatten them as a spike would.
    const near = gates.map((gate) => gate.value).filter((value) => value > low - span && value < high + span);
    return [Math.min(low, ...near.map((value) => value - span * 0.04)), Math.max(high, ...near.map((value) => value + span * 0.04))];
  }

  drawBands(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = this.ink.band;
    for (let index = 1; index < this.shots.length; index += 2) {
      const left = Math.max(bbox.left, u.valToPos(this.shots[index], "x", true));
      const right = Math.min(bbox.left + bbox.width, u.valToPos(this.shots[index + 1] ?? this.last, "x", true));
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }

  drawMarks(u, column, gates) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.drawGates(u, gates, ratio);
    const mark = (frame, ink, y, height, width = 0) => {
      ctx.fillStyle = ink;
      ctx.fillRect(Math.round(u.valToPos(frame, "x", true)), y, Math.max(2 * ratio, width), height);
    };
    for (const [from, to] of this.head.stand_ins) {
      const width = u.valToPos(to, "x", true) - u.valToPos(from, "x", true);
      mark(from, this.ink.gate, bbox.top, 5 * ratio, width);
    }
    for (const { frame } of this.head.substitutes) mark(frame, this.ink.held, bbox.top, bbox.height);
    this.drawOutside(u, column, ratio);
    ctx.restore();
  }

  drawGates(u, gates, ratio) {
    const { ctx, bbox } = u;
    ctx.strokeStyle = this.ink.gate;
    ctx.lineWidth = ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    for (const gate of gates) {
      const y = Math.round(u.valToPos(gate.value, "y", true));
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
  }

  /** A triangle at the edge for each pixel column whose value lies outside of what is shown. */
  drawOutside(u, column, ratio) {
    const { ctx, bbox } = u;
    const { min, max } = u.scales.y;
    const from = Math.max(0, Math.floor(u.scales.x.min));
    const to = Math.min(this.last, Math.ceil(u.scales.x.max));
    const size = 4 * ratio;
    let drawn = [-Infinity, -Infinity];
    ctx.fillStyle = this.ink.gate;
    for (let frame = from; frame <= to; frame += 1) {
      const value = column.values[frame];
      if (!(value < min || value > max)) continue;
      const isLow = value < min ? 1 : 0;
      const x = u.valToPos(frame, "x", true);
      if (x - drawn[isLow] < size) continue;
      drawn[isLow] = x;
      const base = isLow ? bbox.top + bbox.height : bbox.top;
      const inward = isLow ? -size : size;
      ctx.beginPath();
      ctx.moveTo(x, base);
      ctx.lineTo(x - size, base + inward * 1.6);
      ctx.lineTo(x + size, base + inward * 1.6);
      ctx.fill();
    }
  }

  /** Bring all plots to the window of one, and draw what many frames look like in it. */
  follow(u) {
    const [from, to] = [u.scales.x.min, u.scales.x.max];
    if (this.following || (from === this.window[0] && to === this.window[1])) return;
    this.following = true;
    this.window = [from, to];
    queueMicrotask(() => {
      this.plots.forEach((plot, number) => {
        if (this.head.frames > MOST_POINTS) plot.setData(this.data(this.columns[number]), false);
        plot.setScale("x", { min: from, max: to });
      });
      this.following = false;
      this.place();
    });
  }

  steer(plot) {
    let begin = 0;
    plot.now = plot.over.appendChild(document.createElement("div"));
    Object.assign(plot.now.style, { position: "absolute", top: 0, bottom: 0, left: 0, width: "2px", marginLeft: "-1px", background: "var(--accent)", pointerEvents: "none" });
    plot.over.addEventListener("mousedown", (event) => { begin = event.clientX; });
    plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - begin) < 4) this.go(Math.round(plot.posToVal(event.offsetX, "x")), { quick: true });
    });
  }

  place() {
    this.tracks.dataset.window = this.window.map(Math.round).join(" ");
    for (const plot of this.plots) {
      const x = plot.valToPos(this.frame, "x");
      plot.now.style.transform = `translateX(${x}px)`;
      plot.now.hidden = x < 0 || x > plot.over.clientWidth;
    }
  }

  go(frame, options = {}) {
    this.frame = Math.min(this.last, Math.max(0, Math.round(frame) || 0));
    const time = timecode(this.frame, this.rate);
    for (const input of this.root.querySelectorAll("[data-frame-input]")) {
      input.max = this.last;
      input.value = this.frame;
      input.setAttribute("aria-valuetext", `frame ${this.frame}, ${time}`);
    }
    for (const output of this.root.querySelectorAll("[data-time]")) output.textContent = time;
    for (const column of this.columns ?? []) column.output.textContent = figure(column.values[this.frame]);
    this.place();
    const shown = [...this.root.querySelectorAll("img[data-frames]")].map((image) => this.show(image, options));
    this.root.dataset.frame = this.frame;
    return Promise.all(shown);
  }

  async show(image, options) {
    const url = `${image.dataset.frames.replace("/0?", `/${this.frame}?`)}&form=webp&width=${IMAGE_WIDTH}`;
    const frame = await showPicture(image, url, options);
    if (frame === null) return;
    image.dataset.shown = frame;
    image.alt = `${image.dataset.name}, frame ${frame}`;
  }

  step(count) { return this.go(this.frame + count); }

  shot(direction) {
    const [own, next, before] = shotAround(this.shots, this.frame, this.head?.frames ?? this.last + 1);
    this.go(direction > 0 ? next : this.frame > own ? own : before);
  }

  nextBelow() {
    const frames = this.last + 1;
    for (let ahead = 1; ahead < frames; ahead += 1) {
      const frame = (this.frame + ahead) % frames;
      if (this.gates.some((gate) => misses(gate, gate.column.values[frame]))) return this.go(frame);
    }
    return this.tell(this.gates.length ? "No frame misses a gate." : "The recipe has no gates.");
  }

  tell(text) { this.root.querySelector("[data-say]").textContent = text; }

  /** J, K and L as on an editing desk: back, stop, on; again doubles. A frame is shown before the next is asked for. */
  play(direction) {
    this.speed = direction === 0 ? 0 : Math.sign(this.speed) === direction ? Math.max(-8, Math.min(8, this.speed * 2)) : direction;
    this.tell(this.speed ? `${this.speed > 0 ? "Forward" : "Back"} × ${Math.abs(this.speed)}` : "");
    if (!this.playing && this.speed) this.run();
  }

  async run() {
    this.playing = true;
    while (this.speed && this.frame + this.speed >= 0 && this.frame + this.speed <= this.last) {
      await Promise.all([this.go(this.frame + this.speed, { quick: true }), new Promise((done) => setTimeout(done, 1000 / this.rate))]);
    }
    this.playing = false;
    this.speed = 0;
    this.tell("");
  }

  whole() {
    if (this.plots[0]) this.plots[0].setScale("x", { min: 0, max: Math.max(1, this.last) });
  }

  listen() {
    const acts = {
      back: () => this.step(-1), on: () => this.step(1), "shot-back": () => this.shot(-1), "shot-on": () => this.shot(1),
      below: () => this.nextBelow(), whole: () => this.whole(), "play-back": () => this.play(-1), stop: () => this.play(0), play: () => this.play(1),
    };
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-act]");
      if (button) acts[button.dataset.act]();
      const link = event.target.closest("a[data-go]");
      if (link) {
        event.preventDefault();
        this.go(Number(link.dataset.go), { quick: true });
      }
    });
    for (const input of this.root.querySelectorAll("[data-frame-input]")) {
      input.addEventListener(input.type === "range" ? "input" : "change", () => this.go(Number(input.value)));
    }
    this.root.querySelector("[data-with-steps]")?.addEventListener("change", (event) => {
      this.withSteps = event.target.checked;
      this.draw();
      this.go(this.frame, { quick: true });
    });
    this.root.querySelector("[data-time-form]")?.addEventListener("submit", (event) => this.goToTime(event));
    this.root.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("theme", () => this.head && this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.head && this.draw());
    new ResizeObserver(() => this.resize()).observe(this.tracks);
  }

  resize() {
    const width = this.width();
    if (!this.plots.length || this.plots[0].width === width) return;
    for (const plot of this.plots) plot.setSize({ width, height: plot.height });
    this.place();
  }

  goToTime(event) {
    event.preventDefault();
    const field = event.target.elements.time;
    const frame = frameOf(field.value, this.rate);
    field.setAttribute("aria-invalid", String(Number.isNaN(frame)));
    if (Number.isNaN(frame)) this.tell("A time is written HH:MM:SS:FF, or in seconds.");
    else this.go(frame, { quick: true });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = event.target.matches("input, select, textarea");
    const keys = {
      j: () => this.play(-1), k: () => this.play(0), l: () => this.play(1), n: () => this.nextBelow(),
      "[": () => this.shot(-1), "]": () => this.shot(1),
      ArrowLeft: () => this.step(event.shiftKey ? -10 : -1), ArrowRight: () => this.step(event.shiftKey ? 10 : 1),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || inField) return;
    event.preventDefault();
    act();
  }
}

function padded(values, frames) {
  if (values.length === frames) return values;
  const out = new Float32Array(frames).fill(NaN);
  out.set(values.subarray(0, frames));
  return out;
}

function figure(value) {
  return value === undefined || Number.isNaN(value) ? "–" : value.toPrecision(5).replace(/\.?0+$/, "");
}

for (const root of document.querySelectorAll("[data-timeline]")) new Timeline(root).load();
