"""Whole ways through the pages, as people go them."""

from __future__ import annotations

import re
from typing import Any

from tests.browser.conftest import OpenTab, Served, Tab


def test_a_manifest_is_planned_its_recipe_changed_and_its_job_watched_to_the_end(tab: Tab, served: Served) -> None:
    page = tab.go("/submit")
    page.get_by_label("Its paths count from").select_option(str(served.archive))
    page.get_by_label("Choose a manifest").set_input_files(served.archive / "m.csv")
    page.get_by_label("Recipe to begin with").select_option("identity")
    page.get_by_role("button", name="Look at problems and cost").click()
    page.get_by_role("heading", name="6 lines, 3 problems").wait_for()
    assert page.get_by_role("link", name="FILE_MISSING").is_visible()
    page.get_by_label("Another step").select_option("denoise")
    page.get_by_role("button", name="Add", exact=True).click()
    step = page.locator("[data-steps] li")
    step.wait_for()
    step.get_by_text("Settings").click()
    step.get_by_label("strength").fill("0.5")
    step.get_by_label("strength").press("Tab")
    page.get_by_text("The recipe is right.").wait_for()
    assert "strength: 0.5" in page.get_by_label("As text (YAML)").input_value()
    page.get_by_label("Name of the job").fill("By browser")
    page.get_by_role("button", name=re.compile(r"^Submit \d+ lines?$")).click()
    page.get_by_role("heading", name="By browser").wait_for()
    # Nobody loads the page again: the stream brings it to its end.
    page.locator("#live .state.done_with_failures").wait_for(timeout=60_000)
    page.get_by_role("link", name="failed or in quarantine").click()
    page.get_by_role("link", name="Rerun 3…").click()
    page.get_by_role("button", name="Rerun 3 items").click()
    page.get_by_text("3 items will be done again.").wait_for()


def test_a_wrong_recipe_is_told_while_it_is_written(tab: Tab, served: Served) -> None:
    page = tab.go("/submit")
    page.get_by_label("Manifest, folder, film or photo").fill("one.png")
    page.get_by_label("Its paths count from").select_option(str(served.archive))
    page.get_by_label("Open the files").uncheck()
    page.get_by_role("button", name="Look at problems and cost").click()
    text = page.get_by_label("As text (YAML)")
    text.fill("recipe:\n  - denoize: {}\n")
    page.get_by_text("Did you mean 'denoise'?").wait_for()
    assert page.get_by_role("button", name="Submit 1 line").is_disabled()
    text.fill("recipe:\n  - denoise: {}\n  - deflicker: {}\n")
    page.locator("[data-steps] li").nth(1).wait_for()
    page.get_by_role("button", name="Earlier: deflicker").click()
    page.get_by_text("The recipe is right.").wait_for()
    assert text.input_value().index("deflicker") < text.input_value().index("denoise")
    steps = page.locator("[data-steps] li")
    steps.nth(1).locator(".grip").drag_to(steps.nth(0), target_position={"x": 60, "y": 4})
    page.get_by_role("button", name="Earlier: deflicker").and_(page.locator(":enabled")).wait_for()
    assert text.input_value().index("denoise") < text.input_value().index("deflicker")
    page.get_by_role("button", name="Remove denoise").click()
    assert "denoise" not in text.input_value()


def test_a_photo_is_restored_by_keyboard_alone_on_a_phone(open_tab: OpenTab, served: Served) -> None:
    tab = open_tab(viewport={"width": 390, "height": 800})
    page = tab.go("/photo")
    page.get_by_label("Choose a photo").set_input_files(served.archive / "two.png")
    for place in range(4):
        page.locator(f"#step-{place}").select_option("color_enhance" if place == 0 else "")
    page.locator("#step-3").press("Tab")
    assert _focused(page) == "Restore"
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Before and after").wait_for(timeout=60_000)
    page.locator("[data-stage] img[src^='blob:']").nth(1).wait_for(state="attached")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the result").click()
    assert download.value.suggested_filename.startswith("two")


def test_a_job_is_reached_and_paused_by_keyboard_alone(tab: Tab) -> None:
    page = tab.go("/")
    page.keyboard.press("Tab")
    assert _focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.get_by_role("link", name="m", exact=True).last.press("Enter")
    page.get_by_role("heading", name="m", exact=True).wait_for()
    summary = page.locator("summary", has_text="Download")
    summary.press("Enter")
    assert page.get_by_role("link", name="Report of all lines (CSV)").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("link", name="Report of all lines (CSV)").is_visible()


def test_chosen_rows_are_counted(tab: Tab) -> None:
    page = tab.go("/jobs/1")
    page.get_by_label("Choose all that are shown").check()
    assert page.locator("[data-chosen]").inner_text() == "6 chosen"
    page.get_by_label("Choose number 2").uncheck()
    assert page.locator("[data-chosen]").inner_text() == "5 chosen"


def test_names_from_a_manifest_do_nothing(tab: Tab, served: Served) -> None:
    page = tab.go("/jobs/1")
    assert page.get_by_role("link", name="<img src=x onerror=alert(1)>").is_visible()
    page = tab.go(f"/items/{served.items()['<img src=x onerror=alert(1)>']}")
    assert "<img" in page.get_by_role("heading", level=1).inner_text()


def _focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.textContent")).strip()
