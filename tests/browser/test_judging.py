"""Judging by people in a browser: verdicts by key, and a study from its form to a ranking by three raters."""

from __future__ import annotations

from typing import Any

import httpx

from tests.browser.conftest import OpenTab, Served, Tab

PHONE = {"width": 390, "height": 800}


def test_verdicts_are_given_by_keys_alone_and_taken_back(tab: Tab) -> None:
    page = tab.go("/review?job=1")
    cards = page.locator("[data-review]")
    count = cards.count()
    assert count >= 2
    page.keyboard.press("r")  # nothing is chosen yet
    page.keyboard.press("j")
    assert _title(page) == _title_of(cards.nth(0))
    for image in cards.nth(0).locator("img").all():
        image.wait_for()
        _wait_for_pixels(image)
    page.keyboard.press("n")
    page.keyboard.type("jar of rain")  # letters in a note are no verdicts
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.get_by_role("status").filter(has_text=f"{count - 1} left on this page").wait_for()
    assert _title(page) == _title_of(cards.nth(1))
    assert cards.nth(0).locator("[data-verdict]").inner_text().endswith("rejected: jar of rain")
    page.keyboard.press("k")
    page.keyboard.press("u")
    page.get_by_role("status").filter(has_text=f"Taken back: {_title_of(cards.nth(0))}").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    page.get_by_role("status").filter(has_text="Accepted").wait_for()
    page.reload()
    assert cards.count() == count - 1
    page.get_by_role("link", name="decided").click()
    page.locator("[data-undo] button").first.click()
    page.get_by_role("status").filter(has_text="Taken back").wait_for()


def test_a_study_is_opened_judged_by_three_raters_and_read(tab: Tab, open_tab: OpenTab, served: Served) -> None:
    page = tab.go("/studies/new?job=1")
    page.get_by_label("Name, for you").fill("Worth it?")
    page.get_by_label("Frames of each reel").fill("2")
    page.get_by_label("Width of the pictures").fill("300")
    page.get_by_role("button", name="Make the pictures and open it").click()
    page.get_by_role("button", name="Show the link for raters").click(timeout=60_000)
    link = page.get_by_label("Link for raters").input_value()
    assert link.startswith(f"{served.url}/rate/")
    page.get_by_role("button", name="Copy the link").click()
    page.locator("[data-copied]").filter(has_text="opied").or_(
        page.locator("[data-copied]", has_text="copy")
    ).wait_for()

    pairs = _judge_on_a_phone_by_keyboard_alone(open_tab(viewport=PHONE, bypass_csp=True), link)
    assert pairs == _judge_without_script(open_tab(java_script_enabled=False), link)
    assert pairs == _judge_by_program(served, link)

    page.get_by_role("link", name="To the study").click()
    page.get_by_role("heading", name="Worth it?").wait_for()
    ranked = page.locator("table", has=page.locator("caption")).locator("tbody tr")
    assert ranked.count() == 2
    assert page.locator("svg.interval line").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all votes (CSV)").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + 3 * pairs
    for path in ("/studies", page.url.removeprefix(served.url)):
        seen = open_tab(bypass_csp=True)
        seen.go(path)
        for width in (1280, 390, 320):
            seen.page.set_viewport_size({"width": width, "height": 800})
            for theme in ("light", "dark"):
                seen.page.emulate_media(color_scheme=theme)
                assert seen.findings() == [], (path, width, theme)
            assert not seen.runs_sideways(), (path, width)
    page.locator("summary", has_text="Close").click()
    page.get_by_role("button", name="Close").click()
    page.get_by_text("The study is closed").wait_for()
    assert httpx.get(link).status_code == 409


def _judge_on_a_phone_by_keyboard_alone(tab: Tab, link: str) -> int:
    """Count the pairs; nothing that axe finds, nothing sideways, the pictures one below the other."""
    page = tab.page
    page.goto(link)
    assert tab.findings() == []
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Begin":
            break
    page.keyboard.press("Enter")
    page.get_by_role("button", name="A is better").wait_for()
    for image in page.locator(".sides img").all():
        _wait_for_pixels(image)
    first, second = (each.bounding_box() for each in page.locator(".sides img").all())
    assert second["y"] >= first["y"] + first["height"]
    assert first["width"] == second["width"]
    assert not tab.runs_sideways()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert tab.findings() == []
    count = 0
    while _has_pair(page, count + 1):
        for image in page.locator(".sides img").all():
            _wait_for_pixels(image)
        page.keyboard.press(("ArrowLeft", "ArrowRight", "ArrowDown")[count % 3])
        count += 1
    assert tab.findings() == []
    page.go_back()
    page.goto(link)  # nothing of before is shown again
    assert page.get_by_role("heading", name="Thank you").is_visible()
    return count


def _judge_without_script(tab: Tab, link: str) -> int:
    page = tab.page
    page.goto(link)
    page.get_by_role("button", name="Begin").click()
    count = 0
    while _has_pair(page, count + 1):
        page.get_by_role("button", name="A is better" if count % 2 else "B is better").click()
        count += 1
    return count


def _judge_by_program(served: Served, link: str) -> int:
    path, count = link.removeprefix(served.url), 0
    with httpx.Client(base_url=served.url, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True) as client:
        page = client.post(f"{path}/begin").text
        while "data-vote" in page:
            page = client.post(f"{path}/vote", data={"position": str(count), "choice": "left"}).text
            count += 1
    return count


def _has_pair(page: Any, number: int) -> bool:
    """Wait for the pair of a number, or for thanks; returns whether it is a pair."""
    thanks = page.get_by_role("heading", name="Thank you")
    page.get_by_text(f"Pair {number} of").or_(thanks).wait_for()
    return not thanks.is_visible()


def _title(page: Any) -> str:
    """Of the card that has the focus."""
    return _title_of(page.locator("[data-review]:focus"))


def _title_of(card: Any) -> str:
    return str(card.locator("h2").inner_text()).replace("\n", "")


def _wait_for_pixels(image: Any) -> None:
    """Wait until a picture is shown: not merely its place."""
    image.evaluate("each => each.decode()")
    assert image.evaluate("each => each.naturalWidth") > 100
