// Shows the photo that was chosen, before it is sent.

for (const form of document.querySelectorAll('form[data-kind="photo"]')) {
  const image = form.querySelector("[data-preview]");
  image.addEventListener("error", () => { image.hidden = true; }); // a kind that browsers do not know
  form.addEventListener("chosen", ({ detail: [file] }) => {
    if (image.src) URL.revokeObjectURL(image.src);
    image.hidden = !file;
    if (file) image.src = URL.createObjectURL(file);
  });
}
