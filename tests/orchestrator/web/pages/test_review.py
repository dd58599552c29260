"""The review of what lies beyond gates: the worst first, verdicts by form, and what was rejected done again."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db import judgments
from db.ledger.reviewing import add_reviews
from db.records import BelowGate, Blob
from db.session import Database
from db.states import Verdict
from db.tables import Item
from orchestrator.web.pages import review
from tests.support.finished import finish
from tests.support.visitor import Page, Visitor

RUNS = {
    "one": [BelowGate(metric="luma_psnr", gate=">= 30", value=29.0)],
    "two": [BelowGate(metric="luma_psnr", gate=">= 30", value=float("nan"))],
    "reel": [
        BelowGate(metric="luma_psnr", gate=">= 30", value=12.5, start_frame=4, stop_frame=9),
        BelowGate(metric="flicker", gate="<= 0.1", value=0.11, start_frame=7, stop_frame=8),
    ],
}


def add(database: Database, job_id: int, name: str, generation: int = 1) -> None:
    finish(database, job_id, name, {"still": Blob(key="k", sha256="0" * 64, bytes=1)}, generation=generation)
    with database.write() as connection:
        item_id = connection.scalar(select(Item.id).where(Item.job_id == job_id, Item.external_id == name))
        add_reviews(connection, job_id, item_id, generation, RUNS[name])


@pytest.fixture
def reviewed(home_database: Database, job_id: int) -> int:
    """The number of a job with four stretches beyond gates."""
    for name in RUNS:
        add(home_database, job_id, name)
    return job_id


def titles(page: Page) -> list[str]:
    return [" ".join(each.text_content().split()) for each in page.html.xpath("//li[@data-review]/h2")]


ORDER = ["two, luma_psnr", "reel, luma_psnr", "reel, flicker", "one, luma_psnr"]


def number(page: Page, place: int) -> int:
    (action,) = page.html.xpath(f"(//li[@data-review])[{place + 1}]//form[@data-decide]/@action")
    return int(action.rpartition("/")[2])


def decide(visitor: Visitor, place: int, verdict: str, note: str = "", path: str = "/review") -> Page:
    """Fill the form of one of those that are shown."""
    form = visitor.get(path).html.xpath(f"(//li[@data-review])[{place + 1}]//form[@data-decide]")[0]
    fields = [(each.name, each.value or "") for each in form.inputs if each.name and each.tag == "input"]
    return visitor.send(form.action, [*fields, ("note", note), ("verdict", verdict)])


def test_the_farthest_from_its_gate_is_first(viewer: Visitor, reviewed: int) -> None:
    assert titles(viewer.get("/review")) == ORDER


def test_a_run_is_shown_with_its_numbers_its_pictures_and_its_place_in_the_timeline(
    viewer: Visitor, reviewed: int, home_database: Database
) -> None:
    page = viewer.get("/review")
    run = page.html.xpath("(//li[@data-review])[2]")[0]
    words = " ".join(run.text_content().split())
    for said in ("asked >= 30", "luma_psnr 12.5", "4 to 8", "generation"):
        assert said in words
    with home_database.read() as connection:
        item_id = connection.scalar(select(Item.id).where(Item.external_id == "reel"))
    assert run.xpath(".//h2/a/@href") == [f"/items/{item_id}?frame=4&generation=1"]
    source, master = run.xpath(".//img[@loading='lazy']/@src")
    assert source.startswith(f"/api/v1/items/{item_id}/frames/4?form=webp")
    assert ("of=source" in source, "of=master&generation=1" in master) == (True, True)


def test_who_only_looks_has_nothing_to_press(viewer: Visitor, reviewed: int) -> None:
    page = viewer.get("/review")
    assert page.html.xpath("//main//form[@method='post']") == []
    assert viewer.send("/review/1", [("verdict", "accepted")]).status == 403


def test_a_verdict_and_its_note_are_written_down_and_can_be_taken_back(operator: Visitor, reviewed: int) -> None:
    answer = decide(operator, 1, "rejected", "too soft\r\nat the left", f"/review?job={reviewed}")
    page = operator.get(answer.headers["location"])
    assert "Noted." in page.words
    assert titles(page) == [ORDER[0], *ORDER[2:]]
    assert page.html.xpath("//input[@name='job']/@value")[0] == str(reviewed)
    done = operator.get(f"/review?job={reviewed}&decided=1")
    assert titles(done) == [ORDER[1]]
    assert "rejected by ada" in done.words
    assert "too soft" in done.words
    undo = page.html.xpath("//div[contains(@class, 'flash')]//form")[0]
    fields = [(each.name, each.value or "") for each in undo.inputs if each.name]
    back = operator.get(operator.send(undo.action, fields).headers["location"])
    assert "taken back" in back.words
    assert titles(back) == ORDER


def test_what_was_decided_can_be_taken_back_where_it_is_listed(operator: Visitor, reviewed: int) -> None:
    decide(operator, 0, "accepted")
    form = operator.get("/review?decided=1").html.xpath("//form[@data-undo]")[0]
    operator.send(form.action, [(each.name, each.value or "") for each in form.inputs if each.name])
    assert titles(operator.get("/review")) == ORDER


def test_pages_lead_through_all_and_back(monkeypatch: pytest.MonkeyPatch, viewer: Visitor, reviewed: int) -> None:
    monkeypatch.setattr(review, "ON_A_PAGE", 3)
    page = viewer.get("/review")
    assert titles(page) == ORDER[:3]
    assert page.html.xpath("//a[@rel='prev']") == []
    later = viewer.get(str(page.html.xpath("//a[@rel='next']/@href")[0]))
    assert titles(later) == ORDER[3:]
    assert later.html.xpath("//a[@rel='next']") == []
    back = viewer.get(str(later.html.xpath("//a[@rel='prev']/@href")[0]))
    assert titles(back) == ORDER[:3]
    assert back.html.xpath("//a[@rel='prev']") == []


def test_the_items_that_were_rejected_are_done_again_with_another_recipe(
    operator: Visitor, home_database: Database, reviewed: int
) -> None:
    for verdict in ("accepted", "rejected", "rejected"):
        decide(operator, 0, verdict)
    (again,) = operator.get(f"/review?job={reviewed}").html.xpath("//a[contains(., 'Rerun the 1 rejected item')]/@href")
    form = operator.get(str(again)).html.xpath("//main//form")[0]
    fields = [(each.name, each.value or "") for each in form.inputs if each.name and each.name != "recipe"]
    answer = operator.send(form.action, [*fields, ("recipe", "identity")])
    assert "1 item will be done again" in operator.get(answer.headers["location"]).words
    assert judgments.rejected_items(home_database, reviewed, 10) == ()  # its next result is nobody's verdict yet
    assert "Rerun the" not in operator.get(f"/review?job={reviewed}").words


def test_no_more_are_started_again_than_an_address_has_room_for(
    monkeypatch: pytest.MonkeyPatch, operator: Visitor, reviewed: int
) -> None:
    monkeypatch.setattr(review, "MOST_REJECTED", 1)
    for _ in range(2):
        decide(operator, 0, "rejected")
    assert "Rerun the first 1 rejected item " in operator.get(f"/review?job={reviewed}").words


def test_what_a_rerun_made_anew_is_not_decided_any_more(
    operator: Visitor, home_database: Database, reviewed: int
) -> None:
    page = operator.get("/review")
    old = number(page, 3)
    add(home_database, reviewed, "one", generation=2)
    answer = operator.send(f"/review/{old}", [("verdict", "accepted")])
    assert "REVIEW_SUPERSEDED" in answer.words
    rows = judgments.review_page(home_database, job_id=reviewed).rows
    assert [row.generation for row in rows if row.external_id == "one"] == [2]
    assert [row.verdict for row in rows] == [None] * 4


def test_a_note_may_be_long_and_not_too_long(operator: Visitor, home_database: Database, reviewed: int) -> None:
    assert decide(operator, 0, "accepted", "\r\n".join("a" * 999 for _ in range(2))).status == 303
    assert "BAD_VALUE" in decide(operator, 0, "rejected", "b" * 2001).words
    assert [row.verdict for row in judgments.review_page(home_database, decided=True).rows] == [Verdict.ACCEPTED]


@pytest.mark.parametrize(
    ("query", "status"),
    [("job=", 200), ("job=999", 404), ("cursor=x", 422), ("job=0", 422), ("cursor=a9e999,1", 200), ("decided=2", 422)],
)
def test_any_address_has_an_answer(viewer: Visitor, reviewed: int, query: str, status: int) -> None:
    assert viewer.get(f"/review?{query}").status == status


def test_nothing_beyond_gates_is_told_so(viewer: Visitor, job_id: int) -> None:
    words = viewer.get("/review").words
    assert "Nothing waits for a verdict" in words
    assert "Gates are written in recipes" in words
