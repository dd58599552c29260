"""One server over one home that did its work, and a browser that forgives nothing.

Without Chromium the tests that need it are left out, and one line says so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.reels import film, moving
from tests.support.servers import wait_until

CHROMIUM = os.environ.get("REELWRIGHT_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
FRAMES = 24
FLAGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
_HAS_BROWSER = Path(CHROMIUM).exists() and importlib.util.find_spec("playwright") is not None

collect_ignore = (
    []
    if _HAS_BROWSER
    else ["test_journeys.py", "test_judging.py", "test_looks.py", "test_plots.py", "test_timeline.py"]
)


@pytest.fixture(scope="session")
def needs_browser() -> None:
    """One test asks for it where the others are left out, so that one line says so."""
    if not _HAS_BROWSER:
        pytest.skip(
            f"{CHROMIUM} or playwright is not there: apt-get install chromium, or name it in REELWRIGHT_CHROMIUM"
        )


@dataclass
class Served:
    """A running server."""

    url: str
    home: Path
    archive: Path

    def items(self) -> dict[str, int]:
        """Numbers of the first job's items, by id."""
        rows = self.ask("/api/v1/jobs/1/items")["items"]
        return {row["external_id"]: row["id"] for row in rows}

    def ask(self, path: str) -> Any:
        import httpx

        return httpx.get(self.url + path, timeout=60).json()


def _make_archive(folder: Path) -> None:
    folder.mkdir()
    for seed, name in enumerate(("one", "two")):
        pixels = moving(1, 48, 64, channels=3, seed=seed)[0].transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    film(folder / "reel.mkv", moving(FRAMES, 48, 64), "gray")
    lines = ["id,uri", "one,one.png", "two,two.png", "reel,reel.mkv", "gone,gone.png"]
    lines += ['"<img src=x onerror=alert(1)>",x.png', f"{'y' * 200}.png,y.png"]
    (folder / "m.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "r.yaml").write_text(
        'recipe:\n  - denoise: {method: temporal, radius: 1}\ngates: {luma_psnr: ">= 60"}\n', encoding="utf-8"
    )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A home with one finished job, served with one worker beside it."""
    folder = tmp_path_factory.mktemp("browser")
    archive, home = folder / "archive", folder / "home"
    _make_archive(archive)
    command = [sys.executable, "-m", "reelwright", "--home", str(home)]
    submit = ["submit", "--recipe", str(archive / "r.yaml"), str(archive / "m.csv")]
    subprocess.run([*command, *submit], check=True, capture_output=True, timeout=100)
    with (folder / "serve.log").open("wb") as log:
        options = ["--port", "0", "--no-login", "--workers", "1", "--source-root", str(archive)]
        server = subprocess.Popen([*command, "serve", *options], stdout=log, stderr=subprocess.STDOUT)
        try:
            made = Served(_url(server, folder / "serve.log"), home, archive)
            wait_until(lambda: made.ask("/api/v1/jobs/1")["job"]["finished_at"], 120, "the first job is over")
            yield made
        finally:
            server.terminate()
            server.wait(30)


def _url(server: subprocess.Popen[bytes], log: Path) -> str:
    def found() -> str:
        assert server.poll() is None, log.read_text()
        words = log.read_text().split()
        return next((word.rstrip("/.") for word in words if word.startswith("http://127.0.0.1:")), "")

    wait_until(lambda: bool(found()), 60, "the server says where it is")
    return found()


@dataclass
class Tab:
    """A page of the browser, and what went wrong on it."""

    page: Any
    served: Served
    faults: list[str] = field(default_factory=list)

    def go(self, path: str) -> Any:
        self.page.goto(self.served.url + path)
        return self.page

    def watch(self) -> Tab:
        page, faults = self.page, self.faults
        page.on("console", lambda said: said.type in ("error", "warning") and faults.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", self._note_request)
        return self

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.served.url, "blob:", "data:")):
            self.faults.append(f"request to {request.url}")

    def check(self) -> None:
        assert self.faults == []

    def findings(self, rules: str = "") -> list[str]:
        """What axe finds: WCAG 2.2 AA and best practice, or one rule of it."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        only = f", runOnly: ['{rules}']" if rules else ""
        found = self.page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{only}}})")
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def runs_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


# It keeps a loop in this thread for as long as it is there, and other tests want one of their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(chromium: Any, served: Served) -> Iterator[OpenTab]:
    """Open tabs with options of a context; whatever went wrong on any fails the test."""
    tabs: list[Tab] = []

    def opened(**options: Any) -> Tab:
        context = chromium.new_context(viewport=options.pop("viewport", {"width": 1280, "height": 900}), **options)
        context.set_default_timeout(60_000)
        tabs.append(Tab(context.new_page(), served).watch())
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        tab.check()


@pytest.fixture
def tab(open_tab: OpenTab) -> Tab:
    return open_tab()
