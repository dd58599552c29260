// Files on their way to the server: sent as they are, with a bar, before the form that they belong to.

/** Send a file; resolves to what the server noted of it. `onSent` gets the share that is sent. */
export function sendFile(file, kind, onSent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not say how far it is
    request.open("PUT", `/api/v1/uploads/${encodeURIComponent(file.name)}?kind=${kind}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => onSent(event.lengthComputable ? event.loaded / event.total : 0);
    request.onload = () => {
      const { error } = request.response ?? {};
      if (request.status < 300) resolve(request.response);
      else reject(new Error(error ? `${error.message}. ${error.remedy}` : `The file was not taken (${request.status}).`));
    };
    request.onerror = () => reject(new Error("The connection broke before all of it was there. Send it again."));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

/** A form with a file: it is sent first, and the form says by which number it is known. */
class UploadForm {
  constructor(form) {
    this.form = form;
    this.field = form.querySelector('input[type="file"]');
    this.bar = form.querySelector("[data-progress]");
    this.said = form.querySelector("[data-said]");
    form.addEventListener("submit", (event) => this.submit(event));
    this.field.addEventListener("change", () => this.name());
    this.drop(form.querySelector(".drop"));
  }

  name() {
    const names = [...this.field.files].map((file) => file.name).join(", ");
    const place = this.form.querySelector("[data-file-name]");
    if (place) place.textContent = names;
    this.form.dispatchEvent(new CustomEvent("chosen", { detail: this.field.files }));
  }

  drop(area) {
    if (!area) return;
    const mark = (event) => {
      event.preventDefault();
      area.classList.toggle("over", event.type === "dragover");
    };
    area.addEventListener("dragover", mark);
    area.addEventListener("dragleave", mark);
    area.addEventListener("drop", (event) => {
      mark(event);
      this.field.files = event.dataTransfer.files;
      this.name();
    });
  }

  async submit(event) {
    if (!this.field.files.length || this.field.disabled) return;
    event.preventDefault();
    const buttons = [...this.form.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.bar.hidden = false;
    try {
      await this.sendAll(event.submitter);
    } catch (error) {
      this.said.textContent = error.message;
      this.bar.hidden = true;
      for (const button of buttons) button.disabled = false;
    }
  }

  async sendAll(submitter) {
    const files = [...this.field.files];
    for (const [number, file] of files.entries()) {
      this.said.textContent = `Sending ${file.name}…`;
      const upload = await sendFile(file, this.form.dataset.kind, (share) => { this.bar.value = (number + share) / files.length; });
      const hidden = Object.assign(document.createElement("input"), { type: "hidden", name: "upload", value: upload.id });
      this.form.append(hidden);
    }
    this.said.textContent = "Sent.";
    this.field.disabled = true;
    this.form.enctype = "application/x-www-form-urlencoded";
    if (submitter?.name) this.form.append(Object.assign(document.createElement("input"), { type: "hidden", name: submitter.name, value: submitter.value }));
    this.form.submit();
  }
}

for (const form of document.querySelectorAll("form[data-kind]")) new UploadForm(form);
