// Votes by arrow key: one a press, and none before both pictures are there to be seen.

const CHOICES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "none" };
const form = document.querySelector("[data-vote]");
const images = [...document.querySelectorAll(".sides img")];
let sent = false;

form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // there is no going back
document.addEventListener("keydown", (event) => {
  const choice = CHOICES[event.key];
  if (!choice || event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  if (images.every((image) => image.complete)) form.querySelector(`[value="${choice}"]`).click();
});
