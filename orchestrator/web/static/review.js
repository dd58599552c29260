// One stretch after the other: shown before and after, decided by a key.

import { showPicture } from "./pictures.js";

const WIDTH = 960;

class Review {
  constructor(root) {
    this.root = root;
    this.rows = [...root.querySelectorAll(".queue > li")];
    root.addEventListener("focusin", (event) => this.choose(this.rows.findIndex((row) => row.contains(event.target))));
    root.addEventListener("click", (event) => this.choose(this.rows.findIndex((row) => row.contains(event.target))));
    document.addEventListener("keydown", (event) => this.press(event));
    this.choose(0);
  }

  choose(index) {
    if (index < 0 || index >= this.rows.length || index === this.index) return;
    this.index = index;
    for (const row of this.rows) row.removeAttribute("aria-current");
    this.rows[index].setAttribute("aria-current", "true");
    const { item, frame, generation } = this.rows[index].dataset;
    for (const image of this.root.querySelectorAll("img[data-of]")) this.show(image, item, frame, generation);
    this.root.querySelector("[data-timeline-link]").href = `/items/${item}?frame=${frame}&generation=${generation}`;
    this.root.querySelector("[data-compare-link]").href = `/items/${item}/compare?frame=${frame}`;
  }

  async show(image, item, frame, generation) {
    const url = `/api/v1/items/${item}/frames/${frame}?of=${image.dataset.of}&generation=${generation}&form=webp&width=${WIDTH}`;
    const found = await showPicture(image, url);
    if (found === null) return;
    image.dataset.shown = `${item} ${found}`;
    image.alt = `${image.dataset.name}, frame ${found}`;
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const form = this.rows[this.index].querySelector("form");
    const button = (value) => form?.querySelector(`button[value="${value}"]`);
    const keys = {
      a: () => button("accepted")?.click(), r: () => button("rejected")?.click(), n: () => form?.elements.note?.focus(),
      arrowdown: () => this.step(1), arrowup: () => this.step(-1),
    };
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  step(direction) {
    this.choose(this.index + direction);
    this.rows[this.index].querySelector("[data-open]").focus();
  }
}

for (const root of document.querySelectorAll("[data-review]")) new Review(root);
