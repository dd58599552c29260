// What every page has: the theme's switch, menus that close, rows that are chosen, filters that act at once.

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* a browser that keeps nothing: it holds for this page */ }
  document.dispatchEvent(new Event("theme"));
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(except)) menu.open = false;
  }
}

function closeByKey(event) {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
}

// A list with check boxes: how many are chosen, and one box for all that are shown.
function countChosen(form) {
  const boxes = [...form.querySelectorAll('input[name="item"]')];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-all-shown]");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  for (const place of form.querySelectorAll("[data-chosen]")) {
    place.textContent = chosen ? `${chosen} chosen` : "none chosen";
  }
}

function changeAny(event) {
  const box = event.target;
  if (box.matches("[data-all-shown]")) {
    for (const each of box.form.querySelectorAll('input[name="item"]')) each.checked = box.checked;
  }
  if (box.form?.matches("[data-list]")) countChosen(box.form);
  if (box.closest("[data-at-once]")) box.form.requestSubmit();
}

document.addEventListener("change", changeAny);
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("keydown", closeByKey);
// Who is not logged in any more is asked to, on the page that was looked at.
document.addEventListener("htmx:after:request", (event) => {
  if (event.detail?.ctx?.response?.raw?.status === 401) location.reload();
});
for (const button of document.querySelectorAll("[data-theme-switch]")) {
  button.hidden = false;
  button.addEventListener("click", switchTheme);
}
for (const part of document.querySelectorAll("[data-with-script]")) part.hidden = false;
for (const part of document.querySelectorAll("[data-without-script]")) part.hidden = true;
for (const form of document.querySelectorAll("form[data-list]")) countChosen(form);
