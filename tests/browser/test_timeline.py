"""The timeline and the comparison: the frame that is asked for is the one that is shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import FRAMES, Served, Tab


@pytest.fixture
def reel(tab: Tab, served: Served) -> Any:
    """The page of the finished reel, with plots and both pictures."""
    page = tab.go(f"/items/{served.items()['reel']}")
    page.locator(".track canvas").first.wait_for()
    shown(page, 0)
    return page


def shown(page: Any, frame: int) -> None:
    """Wait until both pictures show a frame."""
    for of in ("source", "master"):
        page.locator(f'img[data-frames*="of={of}"][data-shown="{frame}"]').wait_for()


def test_a_click_shows_that_frame_in_both_pictures(reel: Any) -> None:
    plot = reel.locator(".u-over").first
    box = plot.bounding_box()
    for frame in (17, 3, FRAMES - 1):
        across = min(box["width"] * frame / (FRAMES - 1), box["width"] - 2)
        reel.mouse.click(box["x"] + across, box["y"] + box["height"] / 2)
        shown(reel, frame)
        assert reel.get_by_label("Go to frame").input_value() == str(frame)


def test_a_drag_looks_closer_in_all_plots_and_one_button_leads_back(reel: Any) -> None:
    plot = reel.locator(".u-over").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    across = [box["x"] + box["width"] * share for share in (0.25, 0.75)]
    reel.mouse.move(across[0], box["y"] + 10)
    reel.mouse.down()
    reel.mouse.move(across[1], box["y"] + 10, steps=5)
    reel.mouse.up()
    closer = "[data-tracks][data-window='6 17']"
    reel.locator(closer).wait_for()
    assert reel.get_by_label("Go to frame").input_value() == "0"
    first = reel.locator(".u-over").first.bounding_box()
    reel.mouse.click(first["x"] + 2, first["y"] + 10)
    shown(reel, 6)
    reel.get_by_role("button", name="Whole reel").click()
    reel.locator(f"[data-tracks][data-window='0 {FRAMES - 1}']").wait_for()


def test_what_steps_changed_is_shown_when_it_is_asked_for(reel: Any) -> None:
    before = reel.locator(".track").count()
    reel.get_by_label("Also how much each step changed").check()
    assert reel.locator(".track").count() > before
    assert "changed_1_denoise" in reel.locator("[data-tracks]").inner_text()


def test_keys_step_and_go_to_what_is_below_a_gate(reel: Any) -> None:
    reel.get_by_role("button", name="+1 frame").press("ArrowRight")
    shown(reel, 1)
    reel.keyboard.press("ArrowLeft")
    shown(reel, 0)
    reel.keyboard.press("n")
    shown(reel, 1)
    reel.keyboard.press("Shift+ArrowRight")
    shown(reel, 11)


def test_a_time_is_found(reel: Any) -> None:
    reel.get_by_label("Go to time").fill("00:00:00:12")
    reel.get_by_label("Go to time").press("Enter")
    shown(reel, 12)
    reel.get_by_label("Go to time").fill("noon")
    reel.get_by_label("Go to time").press("Enter")
    assert reel.get_by_label("Go to time").get_attribute("aria-invalid") == "true"


def test_l_plays_to_the_end_and_k_stops(reel: Any) -> None:
    reel.get_by_role("button", name="L play").click()
    reel.locator('[data-timeline]:not([data-frame="0"])').wait_for()
    reel.keyboard.press("k")
    stopped = int(str(reel.locator("[data-timeline]").get_attribute("data-frame")))
    shown(reel, stopped)
    assert 0 < stopped < FRAMES - 1
    reel.keyboard.press("l")
    shown(reel, FRAMES - 1)


def test_the_table_names_what_is_below_a_gate_and_leads_there(reel: Any) -> None:
    link = reel.get_by_role("table", name="do not meet a gate").get_by_role("link").first
    frame = int(str(link.get_attribute("data-go")))
    link.click()
    shown(reel, frame)


def test_pictures_are_compared_by_edge_flip_and_difference(tab: Tab, served: Served) -> None:
    page = tab.go(f"/items/{served.items()['one']}/compare")
    layer = page.locator('.layer[data-name="Original"]')
    page.locator("[data-stage] img[src^='blob:']").nth(1).wait_for(state="attached")
    edge = page.get_by_label("How much of the left one is shown")
    edge.press("End")
    assert "0%" in layer.evaluate("each => each.style.clipPath")
    page.keyboard.press("Escape")
    page.locator("[data-stage]").press("f")
    assert page.get_by_role("button", name="Flip").get_attribute("aria-pressed") == "true"
    page.locator("[data-stage]").press("8")
    assert page.locator("[data-zoom-told]").inner_text() == "800 %"
    page.get_by_role("button", name="Difference").click()
    canvas = page.locator("canvas")
    lit = (
        "each => each.getContext('2d').getImageData(0, 0, each.width, each.height).data.some((v, i) => i % 4 < 3 && v)"
    )
    assert canvas.evaluate(lit)
    page.get_by_label("Difference ×").select_option("32")
    assert "32" in page.locator(".tag.left").inner_text()


def test_frames_of_a_reel_are_compared_together(tab: Tab, served: Served) -> None:
    page = tab.go(f"/items/{served.items()['reel']}/compare?frame=5")
    for frame in (5, 6):
        page.locator(f'.layer[data-name="Original"] img[data-shown="{frame}"]').wait_for()
        page.locator(f'.layer[data-name="Restored"] img[data-shown="{frame}"]').wait_for()
        page.locator("[data-stage]").press(".")
