// A page that waits for work elsewhere: asked for again until it says so no more, or leads to another.

const place = document.querySelector("[data-waiting]");

async function look() {
  const response = await fetch(location.href).catch(() => null);
  const text = await response?.text().catch(() => null); // an answer, too, can be cut short
  const page = text && new DOMParser().parseFromString(text, "text/html");
  const waiting = page?.querySelector("[data-waiting]");
  if (page && !waiting) {
    location.replace(response.url);
    return;
  }
  if (waiting) place.textContent = waiting.textContent;
  setTimeout(look, document.hidden ? 10_000 : 1000);
}

if (place) setTimeout(look, 1000);
