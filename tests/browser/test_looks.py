"""Every page: nothing that axe finds, light and dark; no sideways scroll on a phone; and it works without script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import FRAMES, OpenTab, Served, Tab

Path = Callable[[Served], str]
PAGES: dict[str, Path] = {
    "jobs": lambda served: "/",
    "items": lambda served: "/jobs/1",
    "failed": lambda served: "/jobs/1/failed",
    "rerun": lambda served: "/jobs/1/rerun?state=failed",
    "reel": lambda served: f"/items/{served.items()['reel']}",
    "still": lambda served: f"/items/{served.items()['one']}",
    "failed item": lambda served: f"/items/{served.items()['gone']}",
    "compare reel": lambda served: f"/items/{served.items()['reel']}/compare",
    "compare still": lambda served: f"/items/{served.items()['one']}/compare",
    "review": lambda served: "/review",
    "studies": lambda served: "/studies",
    "new study": lambda served: "/studies/new?job=1",
    "workers": lambda served: "/workers",
    "models": lambda served: "/models",
    "submit": lambda served: "/submit",
    "photo": lambda served: "/photo",
    "reference": lambda served: "/api",
    "login": lambda served: "/login",
    "error": lambda served: "/items/999999",
}


def settle(tab: Tab) -> None:
    """Wait until pictures and scores that the page asks for are there."""
    tab.page.locator("[aria-busy=true]").first.wait_for(state="detached")
    if tab.page.locator("[data-url][data-timeline]").count():
        tab.page.locator(".track").first.wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_light_or_dark(open_tab: OpenTab, served: Served, name: str) -> None:
    tab = open_tab(bypass_csp=True)
    tab.go(PAGES[name](served))
    tab.faults[:] = [fault for fault in tab.faults if "404" not in fault or name != "error"]
    settle(tab)
    for details in tab.page.locator("main details").all()[:6]:
        details.evaluate("each => { each.open = true }")
    assert tab.findings() == []
    tab.page.emulate_media(color_scheme="dark")
    assert tab.findings("color-contrast") == []


def test_axe_finds_nothing_in_the_recipes_editor_and_it_fits_a_phone(open_tab: OpenTab, served: Served) -> None:
    tab = open_tab(bypass_csp=True)
    page = tab.go("/submit")
    page.get_by_label("Manifest, folder, film or photo").fill("m.csv")
    page.get_by_label("Its paths count from").select_option(str(served.archive))
    page.get_by_label("Recipe to begin with").select_option("old-film")
    page.get_by_label("Open the files").uncheck()
    page.get_by_role("button", name="Look at problems and cost").click()
    page.locator("[data-steps] li").nth(3).wait_for()
    for details in page.locator("[data-steps] details").all():
        details.evaluate("each => { each.open = true }")
    assert tab.findings() == []
    page.emulate_media(color_scheme="dark")
    assert tab.findings("color-contrast") == []
    page.set_viewport_size({"width": 320, "height": 800})
    assert not tab.runs_sideways()


@pytest.mark.parametrize("width", [390, 320])
def test_no_page_runs_sideways_on_a_phone(open_tab: OpenTab, served: Served, width: int) -> None:
    tab = open_tab(viewport={"width": width, "height": 800})
    wide = []
    for name, path in PAGES.items():
        if name == "error":
            continue
        tab.go(path(served))
        settle(tab)
        wide += [name] if tab.runs_sideways() else []
    assert wide == []


def test_without_script_lists_filter_pictures_and_frames_work(open_tab: OpenTab, served: Served) -> None:
    tab = open_tab(java_script_enabled=False)
    page = tab.go("/jobs/1")
    page.get_by_label("failed", exact=False).first.check()
    page.get_by_role("button", name="Filter").click()
    assert page.locator("#list tbody tr").count() == 3
    page.get_by_role("link", name="gone").click()
    assert "FILE_MISSING" in page.locator("main").inner_text()
    page = tab.go(f"/items/{served.items()['reel']}")
    page.get_by_label("Show frame").fill(str(FRAMES - 1))
    page.get_by_role("button", name="Go", exact=True).click()
    pictures = page.locator("noscript img, main figure img:visible")
    assert f"/frames/{FRAMES - 1}?" in str(pictures.first.get_attribute("src"))


def test_the_theme_can_be_switched_and_is_remembered(tab: Tab) -> None:
    page = tab.go("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light / dark").click()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert before != after == page.evaluate("getComputedStyle(document.body).backgroundColor")
