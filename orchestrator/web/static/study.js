// The link for raters, into the clipboard; where browsers allow none, it is selected.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    const copied = await navigator.clipboard?.writeText(field.value).then(() => true, () => false);
    document.querySelector("[data-copied]").textContent = copied ? "Copied." : "It is selected: copy it by key.";
  });
}
