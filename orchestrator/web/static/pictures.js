// Pictures that a worker makes on demand: asked for when they are wanted, waited for, and never shown under a wrong number.

const PAUSE = 80; // a held arrow key would ask for thirty frames a second
const wanted = new WeakMap();

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

async function fault(response) {
  const told = await response.json().catch(() => null);
  const { message, remedy } = told?.error ?? {};
  return [message ?? `The picture did not come (${response.status}).`, remedy].filter(Boolean).join(" ");
}

async function fetchPicture(wanted, signal) {
  for (let url = wanted; ;) {
    const response = await fetch(url, { signal, headers: { Accept: "image/webp, image/png, application/json" } });
    if (response.status === 202 || response.status === 503) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await pause(1000 * Math.min(seconds, 5), signal);
      url = response.headers.get("Location") ?? url; // a worker elsewhere makes it, and it will be there
      continue;
    }
    if (!response.ok) throw new Error(await fault(response));
    return { blob: await response.blob(), frame: Number(response.headers.get("X-Frame")) };
  }
}

function tell(image, text) {
  const place = image.parentElement?.querySelector("[data-told]");
  if (place) {
    place.textContent = text;
    place.hidden = !text;
  }
  image.hidden = Boolean(text) && !image.src;
}

/** Show the picture at `url` in `image`; whoever asks later wins. Resolves to the frame that is shown now, or to null. */
export async function showPicture(image, url, { quick = false } = {}) {
  wanted.get(image)?.abort();
  const order = new AbortController();
  wanted.set(image, order);
  image.setAttribute("aria-busy", "true");
  try {
    if (!quick) await pause(PAUSE, order.signal);
    const { blob, frame } = await fetchPicture(url, order.signal);
    const earlier = image.src;
    image.src = URL.createObjectURL(blob);
    await image.decode();
    if (earlier.startsWith("blob:")) URL.revokeObjectURL(earlier);
    tell(image, "");
    return order.signal.aborted ? null : frame;
  } catch (error) {
    if (!order.signal.aborted) tell(image, error.message);
    return null;
  } finally {
    if (wanted.get(image) === order) image.removeAttribute("aria-busy");
  }
}
