// The recipe's editor: steps as forms made of each stage's schema, and the same recipe as text beside them.
// The text is what is sent. The server alone decides whether it is right.

const OTHERS = new Set(["variants", "exemptions", "shots"]); // lists of records: written in the text

function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

/** The one schema that matters of a parameter: without the alternative "nothing". */
function plain(schema) {
  const choices = (schema.anyOf ?? []).filter((each) => each.type !== "null");
  return choices.length ? { ...choices[0], description: schema.description, default: schema.default, optional: true } : schema;
}

function bounds(schema) {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  return [low !== undefined && `from ${low}`, high !== undefined && `to ${high}`].filter(Boolean).join(" ");
}

class Recipe {
  constructor(root) {
    this.root = root;
    this.text = root.querySelector("textarea");
    this.list = root.querySelector("[data-steps]");
    this.picker = root.querySelector("[data-add]");
    this.said = root.querySelector("[data-recipe-said]");
    this.rest = {};
    this.listen();
    this.read({ text: this.text.value });
  }

  /** Hand a text, or a shipped recipe's name, to the server, and show as forms what it understood. */
  async read(fields) {
    const order = (this.asked = Symbol("read"));
    const response = await fetch("/recipes/read", { method: "POST", body: new URLSearchParams(fields) }).catch(() => null);
    const told = await response?.json().catch(() => null);
    if (order !== this.asked) return null;
    this.tell(told ? [told.error?.message, told.error?.remedy].filter(Boolean).join(" ") : "The server does not answer.");
    if (!told?.steps) return null;
    this.show(told);
    return told;
  }

  tell(fault) {
    this.said.textContent = fault || "The recipe is right.";
    this.said.classList.toggle("fault", Boolean(fault));
    this.text.setAttribute("aria-invalid", String(Boolean(fault)));
    for (const button of this.root.querySelectorAll("[data-needs-recipe]")) button.disabled = Boolean(fault);
  }

  show({ steps, rest }) {
    this.rest = rest;
    const open = [...this.list.querySelectorAll("details")].map((each) => each.open);
    const same = steps.length === this.list.children.length;
    const held = document.activeElement?.dataset?.field;
    this.list.replaceChildren(...steps.map((step, index) => this.step(step, same && open[index], index)));
    this.number();
    if (held) this.list.querySelector(`[data-field="${CSS.escape(held)}"]`)?.focus();
  }

  step({ stage, summary, params, fields }, isOpen, index) {
    const button = (act, sign, word) => make("button", { type: "button", textContent: sign, ariaLabel: `${word} ${stage}`, title: word });
    const item = make("li", { className: "step", draggable: false });
    const [up, down, off] = [button("up", "↑", "Earlier:"), button("down", "↓", "Later:"), button("off", "✕", "Remove")];
    const grip = make("span", { className: "grip soft", textContent: "⠿", ariaHidden: "true" });
    item.dataset.stage = stage;
    item.params = { ...params };
    up.addEventListener("click", () => this.move(item, -1, up));
    down.addEventListener("click", () => this.move(item, 1, down));
    off.addEventListener("click", () => { item.remove(); this.write(); this.picker.focus(); });
    this.drag(item, grip);
    const told = Object.entries(fields).filter(([name]) => !OTHERS.has(name));
    const inputs = told.map(([name, field]) => this.field(item, `${index}-${name}`, name, plain(field)));
    const body = make("details", { open: Boolean(isOpen) }, make("summary", { textContent: "Settings" }),
      make("div", { className: "body" }, make("p", { className: "small soft", textContent: summary }), ...inputs));
    item.append(make("header", {}, grip, make("strong", { textContent: stage }), up, down, off), body);
    return item;
  }

  field(item, place, name, schema) {
    const id = `step-${place}`;
    const value = item.params[name] ?? schema.default;
    const label = make("label", { htmlFor: id, textContent: name.replaceAll("_", " ") });
    const input = this.input(id, schema, value);
    const hint = [schema.description, bounds(schema)].filter(Boolean).join(" · ");
    input.dataset.field = place;
    input.setAttribute("aria-describedby", `${id}-hint`);
    input.addEventListener("change", () => this.take(item, name, schema, input));
    const told = make("span", { className: "hint", id: `${id}-hint`, textContent: hint });
    if (schema.type === "boolean") return make("div", { className: "field" }, make("span", { className: "check" }, input, label), told);
    return make("div", { className: "field" }, label, input, told);
  }

  input(id, schema, value) {
    if (schema.type === "boolean") return make("input", { id, type: "checkbox", checked: Boolean(value) });
    if (schema.enum) {
      const options = [...(schema.optional ? [""] : []), ...schema.enum];
      return make("select", { id }, ...options.map((each) => make("option", { value: each, textContent: each || "–", selected: each === (value ?? "") })));
    }
    const isNumber = schema.type === "number" || schema.type === "integer";
    const input = make("input", { id, type: isNumber ? "number" : "text", value: this.written(value) });
    if (isNumber) Object.assign(input, { step: schema.type === "integer" ? 1 : "any", min: schema.minimum ?? "", max: schema.maximum ?? "" });
    return input;
  }

  written(value) {
    return value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  take(item, name, schema, input) {
    let value = schema.type === "boolean" ? input.checked : input.value;
    if ((schema.type === "number" || schema.type === "integer") && value !== "") value = Number(value);
    if (schema.type === "array" || schema.type === "object") {
      try { value = JSON.parse(value); } catch { /* the server says what is wrong with it */ }
    }
    if (value === "" || value === schema.default) delete item.params[name];
    else item.params[name] = value;
    this.write();
  }

  move(item, direction, button) {
    const other = direction < 0 ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    other[direction < 0 ? "before" : "after"](item);
    button.focus();
    this.write();
  }

  drag(item, grip) {
    grip.addEventListener("pointerdown", () => { item.draggable = true; });
    item.addEventListener("dragstart", () => item.classList.add("dragged"));
    item.addEventListener("dragend", () => {
      item.classList.remove("dragged");
      item.draggable = false;
      this.write();
    });
    item.addEventListener("dragover", (event) => {
      const dragged = this.list.querySelector(".dragged");
      if (!dragged || dragged === item) return;
      event.preventDefault();
      const { top, height } = item.getBoundingClientRect();
      item[event.clientY < top + height / 2 ? "before" : "after"](dragged);
    });
  }

  number() {
    const items = [...this.list.children];
    items.forEach((item, index) => {
      const [up, down] = item.querySelectorAll("header button");
      up.disabled = index === 0;
      down.disabled = index === items.length - 1;
    });
  }

  /** Write the steps into the text: YAML whose values are JSON, which YAML is. */
  write() {
    this.number();
    const value = (each) => JSON.stringify(each).replaceAll('","', '", "').replace(/":(?=\S)/g, '": ');
    const steps = [...this.list.children].map((item) => {
      const params = Object.entries(item.params).map(([name, each]) => `${name}: ${value(each)}`);
      return `  - ${item.dataset.stage}: {${params.join(", ")}}`;
    });
    const extra = Object.entries(this.rest).map(([name, each]) => `${name}: ${value(each)}`);
    this.text.value = [steps.length ? "recipe:" : "recipe: []", ...steps, ...extra, ""].join("\n");
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read({ text: this.text.value }), 300);
  }

  listen() {
    this.text.addEventListener("input", () => this.later());
    this.root.querySelector("[data-add-step]").addEventListener("click", () => this.add());
    this.root.querySelector("[data-named]")?.addEventListener("change", (event) => this.name(event.target.value));
  }

  add() {
    const item = this.step({ stage: this.picker.value, summary: "", params: {}, fields: {} }, false, this.list.children.length);
    this.list.append(item);
    this.write();
  }

  async name(name) {
    const told = name && (await this.read({ name }));
    if (told) this.text.value = told.text;
  }
}

for (const root of document.querySelectorAll("[data-recipe]")) new Recipe(root);
