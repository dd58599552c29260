// The link for raters, into the clipboard; where browsers allow none, or do not answer, it is selected.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    const written = navigator.clipboard?.writeText(field.value).then(() => true, () => false);
    const copied = await Promise.race([written, new Promise((answer) => setTimeout(answer, 2000, false))]);
    document.querySelector("[data-copied]").textContent = copied ? "Copied." : "It is selected: copy it by key.";
  });
}
