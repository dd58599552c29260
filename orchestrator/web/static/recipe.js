// The recipe's editor: steps as forms made of each stage's schema, and the same recipe as text beside them.
// The text is what is sent. The server alone decides whether it is right.

const OTHERS = new Set(["variants", "exemptions", "shots"]); // lists of records: written in the text

function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

/** The one schema that matters of a parameter: without the alternative "nothing", with what references lead to. */
function plain(schema, root) {
  if (schema.$ref) return plain(root.$defs[schema.$ref.split("/").at(-1)], root);
  const choices = (schema.anyOf ?? []).filter((each) => each.type !== "null");
  if (!choices.length) return schema;
  const { description, default: otherwise } = schema;
  return { ...plain(choices[0], root), description, default: otherwise, optional: choices.length < schema.anyOf.length };
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
    this.extra = {};
    this.schemas = new Map();
    this.listen();
    this.begin();
  }

  async begin() {
    const { stages } = await this.ask("/api/v1/stages");
    this.picker.append(...stages.map(({ name, summary }) => make("option", { value: name, title: summary, textContent: name })));
    await this.check();
  }

  async ask(url, body) {
    const order = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url, order);
    const told = await response.json();
    if (!response.ok) throw new Error([told.error?.message, told.error?.remedy].filter(Boolean).join(" "));
    return told;
  }

  async schema(stage) {
    if (!this.schemas.has(stage)) this.schemas.set(stage, (await this.ask(`/api/v1/stages/${encodeURIComponent(stage)}`)).schema);
    return this.schemas.get(stage);
  }

  /** Hand the text to the server, and show as forms what it understood. */
  async check() {
    const order = (this.asked = Symbol("check"));
    try {
      const { document: found } = await this.ask("/api/v1/recipes/check", { recipe: this.text.value });
      if (order !== this.asked) return;
      this.tell("");
      await this.show(found);
    } catch (error) {
      if (order === this.asked) this.tell(error.message);
    }
  }

  tell(fault) {
    this.said.textContent = fault || "The recipe is right.";
    this.said.classList.toggle("fault", Boolean(fault));
    this.text.setAttribute("aria-invalid", String(Boolean(fault)));
    for (const button of this.root.querySelectorAll("[data-needs-recipe]")) button.disabled = Boolean(fault);
  }

  async show({ recipe, ...extra }) {
    this.extra = extra;
    const open = new Set([...this.list.querySelectorAll("details[open]")].map((each) => each.dataset.stage));
    const steps = await Promise.all(recipe.map(async (entry) => {
      const [[stage, params]] = Object.entries(typeof entry === "string" ? { [entry]: {} } : entry);
      return this.step(stage, params ?? {}, await this.schema(stage), open.has(stage));
    }));
    const held = document.activeElement?.id;
    this.list.replaceChildren(...steps);
    this.number();
    if (held && !document.activeElement?.id) document.getElementById(held)?.focus();
  }

  step(stage, params, schema, isOpen) {
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
    const fields = Object.entries(schema.properties).filter(([name]) => !OTHERS.has(name));
    const body = make("details", {}, make("summary", { textContent: "Settings" }),
      make("div", { className: "body" }, ...fields.map(([name, field]) => this.field(item, name, plain(field, schema)))));
    body.dataset.stage = stage;
    body.open = isOpen;
    item.append(make("header", {}, grip, make("strong", { textContent: stage }), up, down, off), body);
    return item;
  }

  field(item, name, schema) {
    const id = `step-${(this.count = (this.count ?? 0) + 1)}-${name}`;
    const value = item.params[name] ?? schema.default;
    const label = make("label", { htmlFor: id, textContent: name.replaceAll("_", " ") });
    const input = this.input(id, schema, value);
    const hint = [schema.description, bounds(schema)].filter(Boolean).join(" · ");
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
    const extra = Object.entries(this.extra).map(([name, each]) => `${name}: ${value(each)}`);
    this.text.value = [steps.length ? "recipe:" : "recipe: []", ...steps, ...extra, ""].join("\n");
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), 300);
  }

  listen() {
    this.text.addEventListener("input", () => this.later());
    this.root.querySelector("[data-add-step]").addEventListener("click", () => this.add());
    this.root.querySelector("[data-named]")?.addEventListener("change", (event) => this.name(event.target));
  }

  async add() {
    if (!this.picker.value) return;
    this.list.append(this.step(this.picker.value, {}, await this.schema(this.picker.value), true));
    this.write();
  }

  async name(field) {
    if (!field.value) return;
    const { recipes } = await this.ask("/api/v1/recipes");
    const found = recipes.find(({ name }) => name === field.value);
    if (!found) return;
    this.text.value = found.text;
    await this.check();
  }
}

for (const root of document.querySelectorAll("[data-recipe]")) new Recipe(root);
