"""Takes the pictures of pages for docs/img: each in light and in dark, side by side. Needs Chromium.

``python docs/screenshots.py URL`` asks a server that was started with ``--no-login``; the numbers below are those
of the jobs and items of its home: the demo, a job with gates and failures, a photo, and a study.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1180, "height": 860}
WIDTH = 760
"""Of one of both halves, in pixels."""
FOLDER = Path(__file__).parent / "img"
PAGES = {
    "web-jobs": "/",
    "web-items": "/jobs/1",
    "web-failed": "/jobs/2/failed",
    "web-item": "/items/6",
    "web-compare": "/items/1/compare",
    "web-submit": "/submit",
    "web-workers": "/workers",
    "web-models": "/models",
    "web-photo": "/photo/3",
    "web-review": "/review",
    "web-study": "/studies/1",
    "web-api": "/api",
}
"""File and address."""


def main(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, path in PAGES.items():
            halves = [shoot(browser, url + path, scheme) for scheme in ("light", "dark")]
            both = Image.new("RGB", (sum(half.width for half in halves), halves[0].height))
            for number, half in enumerate(halves):
                both.paste(half, (number * halves[0].width, 0))
            both.save(FOLDER / f"{name}.jpg", quality=72, optimize=True)
            print(f"docs/img/{name}.jpg")
        browser.close()


def shoot(browser: Browser, address: str, scheme: str) -> Image.Image:
    context = browser.new_context(viewport=SIZE, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.wait_for_timeout(3000)  # pictures and plots come after the page
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main(sys.argv[1])
