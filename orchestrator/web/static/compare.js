// Pictures one upon the other: an edge that moves, side by side, to and fro, or what differs. All are moved together.

import { showPicture } from "./pictures.js";

const MOST_SCALE = 32;

class Comparison {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector("[data-stage]");
    this.layers = [...this.stage.querySelectorAll(".layer[data-name]")];
    this.images = this.layers.map((layer) => layer.querySelector("img"));
    this.canvas = this.stage.querySelector("canvas");
    this.line = this.stage.querySelector("[data-edge-line]");
    this.view = { mode: "edge", left: 0, right: Math.min(1, this.layers.length - 1), edge: 0.5, scale: 0, x: 0.5, y: 0.5, gain: 8 };
    this.listen();
    for (const image of this.images) this.load(image);
  }

  async load(image, options = { quick: true }) {
    const url = image.dataset.frames?.replace("/0?", `/${this.frame()}?`) ?? image.dataset.url;
    const frame = await showPicture(image, url, options);
    if (frame !== null && image.dataset.frames) {
      image.dataset.shown = frame;
      image.alt = `${image.dataset.name}, frame ${frame}`;
    }
    this.draw();
  }

  frame() {
    return Number(this.root.querySelector("[data-frame-input]")?.value ?? 0);
  }

  /** The picture that scales count against: the widest, so that 1:1 shows each of its pixels. */
  reference() {
    return this.images.reduce((widest, image) => (image.naturalWidth > widest.naturalWidth ? image : widest));
  }

  room() {
    const { clientWidth, clientHeight } = this.stage;
    return { width: this.view.mode === "beside" ? clientWidth / 2 : clientWidth, height: clientHeight };
  }

  scale() {
    const { naturalWidth, naturalHeight } = this.reference();
    const { width, height } = this.room();
    return this.view.scale || Math.min(width / (naturalWidth || 1), height / (naturalHeight || 1));
  }

  draw() {
    const { mode, left, right, edge } = this.view;
    this.bound();
    this.stage.classList.toggle("near", this.scale() >= 2);
    const share = mode === "edge" ? edge : mode === "beside" ? 0.5 : 0;
    this.layers.forEach((layer, index) => {
      const shown = index === left || index === right;
      layer.hidden = !shown || mode === "difference";
      if (!shown) return;
      this.lay(this.images[index], mode === "beside" && index === right ? this.room().width : 0);
      const isLeft = index === left && (left !== right);
      layer.style.zIndex = isLeft ? 1 : 0;
      layer.style.clipPath = this.clip(isLeft, share);
    });
    this.drawDifference(mode === "difference");
    this.line.hidden = mode !== "edge" && mode !== "beside";
    this.line.style.left = `${100 * share}%`;
    this.label();
  }

  clip(isLeft, share) {
    if (this.view.mode === "flip") return isLeft === !this.view.flipped ? "none" : "inset(0 100% 0 0)";
    return isLeft ? `inset(0 ${100 * (1 - share)}% 0 0)` : `inset(0 0 0 ${100 * share}%)`;
  }

  /** Where the upper left corner of all pictures lies, for the present scale and centre. */
  corner() {
    const scale = this.scale();
    const { width, height } = this.room();
    const { naturalWidth, naturalHeight } = this.reference();
    return { scale, left: width / 2 - this.view.x * naturalWidth * scale, top: height / 2 - this.view.y * naturalHeight * scale };
  }

  lay(image, shift) {
    const { scale, left, top } = this.corner();
    const { naturalWidth, naturalHeight } = this.reference();
    Object.assign(image.style, {
      width: `${naturalWidth * scale}px`, height: `${naturalHeight * scale}px`, transform: `translate(${left + shift}px, ${top}px)`,
    });
  }

  bound() {
    const { naturalWidth, naturalHeight } = this.reference();
    const { width, height } = this.room();
    const scale = this.scale();
    for (const [axis, size, space] of [["x", naturalWidth * scale, width], ["y", naturalHeight * scale, height]]) {
      const margin = size > space ? space / 2 / size : 0.5;
      this.view[axis] = Math.min(1 - margin, Math.max(margin, this.view[axis]));
    }
  }

  /** |left − right| × gain, of what is in view: the canvas subtracts, and adds itself to itself. */
  drawDifference(shown) {
    this.canvas.hidden = !shown;
    if (!shown) return;
    const ratio = devicePixelRatio || 1;
    const { width, height } = this.room();
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const draw = this.canvas.getContext("2d");
    const { scale, left, top } = this.corner();
    const { naturalWidth, naturalHeight } = this.reference();
    draw.imageSmoothingEnabled = scale < 2;
    const place = [left * ratio, top * ratio, naturalWidth * scale * ratio, naturalHeight * scale * ratio];
    for (const [operation, index] of [["source-over", this.view.left], ["difference", this.view.right]]) {
      draw.globalCompositeOperation = operation;
      if (this.images[index].naturalWidth) draw.drawImage(this.images[index], ...place);
    }
    draw.globalCompositeOperation = "lighter";
    for (let gain = 1; gain < this.view.gain; gain *= 2) draw.drawImage(this.canvas, 0, 0);
  }

  label() {
    const { mode, left, right, gain, flipped } = this.view;
    const name = (index) => this.layers[index].dataset.name;
    const [one, two] = this.stage.querySelectorAll(".tag");
    one.textContent = mode === "difference" ? `Difference × ${gain}` : mode === "flip" ? name(flipped ? right : left) : name(left);
    two.textContent = name(right);
    two.hidden = mode === "difference" || mode === "flip";
    for (const button of this.root.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    for (const button of this.root.querySelectorAll("[data-scale]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.scale) === this.view.scale));
    }
    for (const part of this.root.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== mode;
    this.root.querySelector("[data-edge-told]").textContent = `${Math.round(100 * this.view.edge)} %`;
    this.root.querySelector("[data-zoom-told]").textContent = this.reference().naturalWidth ? `${Math.round(100 * this.scale())} %` : "";
  }

  set(change) {
    Object.assign(this.view, change);
    this.draw();
  }

  mode(mode) {
    this.set({ mode, flipped: false });
  }

  flip() {
    this.set(this.view.mode === "flip" ? { flipped: !this.view.flipped } : { mode: "flip", flipped: true });
  }

  /** Change the scale, and keep the point under the pointer where it is. */
  zoom(factor, at) {
    const { scale, left, top } = this.corner();
    const next = Math.min(MOST_SCALE, Math.max(0.02, scale * factor));
    const { width, height } = this.room();
    const { naturalWidth, naturalHeight } = this.reference();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    this.view.x = ((x - left) / scale + (width / 2 - x) / next) / naturalWidth;
    this.view.y = ((y - top) / scale + (height / 2 - y) / next) / naturalHeight;
    this.set({ scale: next });
  }

  pan(x, y) {
    const { naturalWidth, naturalHeight } = this.reference();
    const scale = this.scale();
    this.set({ x: this.view.x - x / scale / naturalWidth, y: this.view.y - y / scale / naturalHeight });
  }

  listen() {
    const { root, stage } = this;
    root.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.mode === "flip") this.flip();
      else if (button.dataset.mode) this.mode(button.dataset.mode);
      if (button.dataset.scale) this.set({ scale: Number(button.dataset.scale) });
      if (button.dataset.step) this.go(this.frame() + Number(button.dataset.step));
    });
    root.addEventListener("input", (event) => this.input(event.target));
    root.addEventListener("keydown", (event) => this.press(event));
    stage.addEventListener("pointerdown", (event) => this.grab(event));
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, { x: event.offsetX, y: event.offsetY });
    }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(stage);
  }

  input(field) {
    if (field.matches("[data-edge]")) this.set({ edge: field.value / 100 });
    if (field.matches("[data-left]")) this.set({ left: Number(field.value) });
    if (field.matches("[data-right]")) this.set({ right: Number(field.value) });
    if (field.matches("[data-gain]")) this.set({ gain: Number(field.value) });
    if (field.matches("[data-frame-input]")) this.go(Number(field.value));
  }

  go(frame) {
    const fields = [...this.root.querySelectorAll("[data-frame-input]")];
    if (!fields.length || Number.isNaN(frame)) return;
    const bounded = Math.min(Number(fields[0].max), Math.max(0, Math.round(frame)));
    for (const field of fields) field.value = bounded;
    for (const image of this.images) this.load(image, {});
  }

  /** A drag that begins near the edge moves it, as does one of a finger in any place of a whole picture; others pan. */
  grab(event) {
    const box = this.stage.getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left - this.view.edge * box.width) < 24;
    const movesEdge = this.view.mode === "edge" && (near || this.view.scale === 0);
    const move = (moved) => {
      if (movesEdge) this.setEdge((moved.clientX - box.left) / box.width);
      else this.pan(moved.movementX, moved.movementY);
    };
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", move);
    const end = () => this.stage.removeEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", end, { once: true });
    this.stage.addEventListener("pointercancel", end, { once: true });
  }

  setEdge(share) {
    const edge = Math.min(1, Math.max(0, share));
    this.root.querySelector("[data-edge]").value = Math.round(100 * edge);
    this.set({ edge });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const inStage = event.target === this.stage;
    const keys = {
      f: () => this.flip(), d: () => this.mode("difference"), s: () => this.mode("beside"), e: () => this.mode("edge"),
      0: () => this.set({ scale: 0 }), 1: () => this.set({ scale: 1 }), 8: () => this.set({ scale: 8 }),
      "+": () => this.zoom(1.25), "-": () => this.zoom(0.8), ",": () => this.go(this.frame() - 1), ".": () => this.go(this.frame() + 1),
      ...(inStage && {
        ArrowLeft: () => this.pan(60, 0), ArrowRight: () => this.pan(-60, 0), ArrowUp: () => this.pan(0, 60), ArrowDown: () => this.pan(0, -60),
      }),
    };
    const act = keys[event.key.toLowerCase()] ?? keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
}

for (const root of document.querySelectorAll("[data-compare]")) new Comparison(root);
