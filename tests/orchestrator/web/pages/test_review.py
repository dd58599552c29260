"""The queue of what lies beyond gates."""

from __future__ import annotations

import pytest

from db import judgments, progress
from db.ledger import reviewing
from db.records import BelowGate
from db.session import Database
from tests.support.visitor import Visitor


@pytest.fixture
def waiting(home_database: Database, job_id: int) -> list[int]:
    """Numbers of three reviews of one still and one reel, the worst first."""
    rows = {row.external_id: row for row in progress.items(home_database, job_id)}
    below = {
        "one": [BelowGate(metric="luma_psnr", gate=">= 30", value=29)],
        "reel": [
            BelowGate(metric="luma_psnr", gate=">= 30", value=3, start_frame=4, stop_frame=9),
            BelowGate(metric="luma_psnr", gate=">= 30", value=20, start_frame=40, stop_frame=41),
        ],
    }
    for name, stretches in below.items():
        with home_database.write() as connection:
            reviewing.add_reviews(connection, job_id, rows[name].id, 1, stretches)
    return [row.id for row in judgments.review_page(home_database).rows]


def test_the_worst_stands_first_with_its_frames(viewer: Visitor, waiting: list[int]) -> None:
    page = viewer.get("/review")
    rows = [" ".join(each.text_content().split()) for each in page.html.xpath("//ol[@class='queue']/li")]
    assert ["frames 4 to 8" in rows[0], "frames 40" in rows[1], "one" in rows[2]] == [True, True, True]
    assert page.html.xpath("//main//form") == []


def test_a_verdict_is_noted_with_its_author_and_the_row_is_gone(
    operator: Visitor, home_database: Database, waiting: list[int]
) -> None:
    answer = operator.send(f"/review/{waiting[0]}", [("verdict", "rejected"), ("note", "too soft")])
    assert answer.status == 303
    page = operator.get(answer.headers["location"])
    assert "Noted." in page.words
    assert len(page.html.xpath("//ol[@class='queue']/li")) == 2
    (row,) = judgments.review_page(home_database, decided=True).rows
    assert (row.verdict, row.by, row.note) == ("rejected", "ada", "too soft")


def test_what_was_rejected_can_be_started_again_or_taken_back(
    operator: Visitor, home_database: Database, waiting: list[int], job_id: int
) -> None:
    operator.send(f"/review/{waiting[0]}", [("verdict", "rejected")])
    page = operator.get(f"/review?decided=true&job={job_id}")
    assert [link for link in page.links() if link.startswith(f"/jobs/{job_id}/rerun?of=chosen")]
    operator.send(f"/review/{waiting[0]}", [("verdict", ""), ("decided", "true")])
    assert judgments.review_page(home_database, decided=True).rows == ()


def test_pages_lead_on_and_back(monkeypatch: pytest.MonkeyPatch, viewer: Visitor, waiting: list[int]) -> None:
    monkeypatch.setattr("orchestrator.web.pages.review.ON_A_PAGE", 2)
    (ahead,) = viewer.get("/review").html.xpath("//a[@rel='next']/@href")
    page = viewer.get(str(ahead))
    assert len(page.html.xpath("//ol[@class='queue']/li")) == 1
    (back,) = page.html.xpath("//a[@rel='prev']/@href")
    assert len(viewer.get(str(back)).html.xpath("//ol[@class='queue']/li")) == 2


def test_a_viewer_decides_nothing(viewer: Visitor, waiting: list[int]) -> None:
    assert viewer.send(f"/review/{waiting[0]}", [("verdict", "accepted")]).status == 403


def test_an_empty_queue_says_how_gates_are_written(viewer: Visitor) -> None:
    assert "gates:" in viewer.get("/review").words
