// Verdicts by key, one after the other; the forms of the page do the same without script.

import { showPicture } from "./pictures.js";

const cards = [...document.querySelectorAll("[data-review]")];
const say = document.querySelector("[data-say]");
const WORDS = { accepted: "Accepted", rejected: "Rejected", "": "Taken back" };

function titleOf(card) {
  return card.querySelector("h2").textContent.trim();
}

function go(from, step, wanted = () => true) {
  for (let place = cards.indexOf(from) + step; place in cards; place += step) {
    if (!wanted(cards[place])) continue;
    cards[place].focus();
    cards[place].scrollIntoView({ block: "nearest" });
    return true;
  }
  return false;
}

function isWaiting(card) {
  return card.querySelector("[data-decide]")?.hidden === false;
}

function mark(card, verdict, note) {
  const told = card.querySelector("[data-verdict]");
  const word = document.createElement("strong");
  word.className = `verdict ${verdict}`;
  word.textContent = verdict;
  told.replaceChildren(...(verdict ? [word, note ? `: ${note}` : ""] : []));
  told.hidden = !verdict;
  card.querySelector("[data-decide]").hidden = Boolean(verdict);
  card.querySelector("[data-undo]").hidden = !verdict;
}

async function fault(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector(".panel")?.textContent.trim().replace(/\s+/g, " ") || `It was not written down (${response.status}).`;
}

async function send(form, button) {
  const card = form.closest("[data-review]");
  const fields = new URLSearchParams(new FormData(form, button));
  const verdict = fields.get("verdict") ?? "";
  try {
    // The answer leads back to the list, which is here already.
    const response = await fetch(form.action, { method: "POST", body: fields, redirect: "manual" });
    if (response.type !== "opaqueredirect") throw new Error(await fault(response));
    mark(card, verdict, fields.get("note")?.trim());
    const left = cards.filter(isWaiting).length;
    say.textContent = `${WORDS[verdict]}: ${titleOf(card)}. ${left} left on this page.`;
    if (!verdict || !(go(card, 1, isWaiting) || go(card, -1, isWaiting))) card.focus();
  } catch (error) {
    say.textContent = error.message;
    say.classList.replace("unseen", "alert");
    card.focus();
  }
}

function press(card, selector) {
  const button = card.querySelector(selector);
  if (!button || button.form.hidden) return false;
  button.click();
  return true;
}

const OF_CARD = {
  a: (card) => press(card, '[value="accepted"]'),
  r: (card) => press(card, '[value="rejected"]'),
  u: (card) => press(card, "[data-undo] button"),
  n: (card) => isWaiting(card) && (card.querySelector("textarea").focus(), true),
  arrowdown: (card) => go(card, 1),
  arrowright: (card) => go(card, 1),
  arrowup: (card) => go(card, -1),
  arrowleft: (card) => go(card, -1),
};

function act(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const card = event.target.closest?.("[data-review]");
  const key = event.key.toLowerCase();
  if (event.target.matches?.("input, textarea, select")) {
    if (key === "escape" && card) card.focus();
    return;
  }
  const step = { j: 1, k: -1 }[key];
  const done = step ? go(card ?? null, card || step > 0 ? step : cards.length) : card && OF_CARD[key]?.(card);
  if (done) event.preventDefault();
}

document.addEventListener("keydown", act);
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-decide], [data-undo]")) return;
  event.preventDefault();
  send(event.target, event.submitter);
});
// A picture that did not come at once: a worker elsewhere makes it, or it is told why there is none.
for (const image of document.querySelectorAll("[data-review] img")) {
  image.addEventListener("error", () => showPicture(image, image.getAttribute("src")), { once: true });
}
