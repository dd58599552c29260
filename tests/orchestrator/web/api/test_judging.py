"""Reviews and studies as programs see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from db import judgments
from db.ledger.reviewing import add_reviews
from db.records import BelowGate
from db.session import Database
from db.tables import Item
from tests.support.visitor import Page, Visitor

VALUES = (12.0, 29.0, float("nan"), 20.0, 29.0)
WORST_FIRST = [None, 12.0, 20.0, 29.0, 29.0]


@pytest.fixture
def reviewed(home_database: Database, job_id: int) -> int:
    """The number of a job with five stretches of a reel below a gate."""
    runs = [
        BelowGate(metric="luma_psnr", gate=">= 30", value=value, start_frame=place, stop_frame=place + 1)
        for place, value in enumerate(VALUES)
    ]
    with home_database.write() as connection:
        item_id = connection.scalar(select(Item.id).where(Item.job_id == job_id, Item.external_id == "reel"))
        add_reviews(connection, job_id, item_id, 1, runs)
    return job_id


def told(page: Page) -> Any:
    assert page.status == 200, page.text
    return json.loads(page.text)


def decide(visitor: Visitor, number: int, **said: Any) -> Page:
    return visitor.ask("POST", f"/api/v1/reviews/{number}", json=said)


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_pages_lead_through_all_worst_first_and_back(viewer: Visitor, reviewed: int, limit: int) -> None:
    path = f"/api/v1/reviews?limit={limit}&job={reviewed}"
    forth = [told(viewer.get(path))]
    while forth[-1]["next"]:
        forth.append(told(viewer.get(f"{path}&cursor={forth[-1]['next']}")))
    assert [row["value"] for page in forth for row in page["reviews"]] == WORST_FIRST
    assert forth[0]["prev"] is None
    back = [forth[-1]]
    while back[-1]["prev"]:
        back.append(told(viewer.get(f"{path}&cursor={back[-1]['prev']}")))
    assert [page["reviews"] for page in reversed(back)] == [page["reviews"] for page in forth]


def test_a_verdict_is_given_changed_and_taken_back(operator: Visitor, home_database: Database, reviewed: int) -> None:
    first = told(operator.get("/api/v1/reviews"))["reviews"][0]["id"]
    assert told(decide(operator, first, verdict="accepted")) == {"review": first, "verdict": "accepted"}
    told(decide(operator, first, verdict="rejected", note="after all"))
    (row,) = told(operator.get("/api/v1/reviews?decided=true"))["reviews"]
    assert (row["verdict"], row["by"], row["note"]) == ("rejected", "ada", "after all")
    told(decide(operator, first, verdict=None))
    assert judgments.review_page(home_database, decided=True).rows == ()
    assert len(told(operator.get("/api/v1/reviews"))["reviews"]) == len(VALUES)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"verdict": "superseded"}, 422),
        ({"verdict": "good"}, 422),
        ({}, 422),
        ({"verdict": "accepted", "note": "x" * 2001}, 422),
        ({"verdict": "accepted", "note": "\x00"}, 422),
        ({"verdict": "accepted", "by": "somebody else"}, 422),
    ],
)
def test_what_is_no_verdict_is_refused(operator: Visitor, reviewed: int, said: dict[str, Any], status: int) -> None:
    assert decide(operator, 1, **said).status == status


def test_only_operators_decide(viewer: Visitor, operator: Visitor, reviewed: int) -> None:
    assert decide(viewer, 1, verdict="accepted").status == 403
    assert decide(operator, 999, verdict="accepted").status == 404


@pytest.mark.parametrize(
    "query",
    ["cursor=b", "cursor=a1,", "cursor=anan,1", "cursor=a-1,1", "limit=0", "limit=1001", "job=0", "cursor=a١,1"],
)
def test_a_place_that_is_none_is_told(viewer: Visitor, reviewed: int, query: str) -> None:
    assert viewer.get(f"/api/v1/reviews?{query}").status == 422


PATHS = [
    "/api/v1/reviews?job={}",
    "/review?job={}",
    "/studies/{}",
    "/api/v1/studies/{}",
    "/api/v1/studies/{}/votes.csv",
]


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
@pytest.mark.parametrize("path", PATHS)
def test_numbers_beyond_all_rows_are_told(operator: Visitor, path: str, number: int) -> None:
    assert operator.get(path.format(number)).status in {404, 422}


@pytest.mark.parametrize("number", [2**63, 10**30])
@pytest.mark.parametrize("path", ["/review/{}", "/studies/{}/close", "/api/v1/reviews/{}", "/api/v1/studies/{}/close"])
def test_deeds_on_numbers_beyond_all_rows_are_told(operator: Visitor, path: str, number: int) -> None:
    if "/api/" in path:
        page = operator.ask("POST", path.format(number), json={"verdict": "accepted"})
    else:
        page = operator.send(path.format(number), [("verdict", "accepted")])
    assert page.status in {404, 422}


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"frames": 99}, {"motifs": 0}, {"name": "a\nb"}, {"name": ""}, {"question": " "}, {"seed": -1},
        {"seed": 2**63}, {"repeat_share": 2}, {"extra": 1}, {"ids": ["x"] * 201}, {"variants": []},
        {"variants": [{"name": "a", "job_id": 2**70}] * 2},
        {"variants": [{"name": "a", "job_id": 1, "of": "both"}] * 2},
        {"variants": [{"name": f"v{number}", "job_id": 1} for number in range(21)]},
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_is_refused_at_once(operator: Visitor, job_id: int, change: dict[str, Any]) -> None:
    variants = [{"name": "a", "job_id": job_id}, {"name": "b", "job_id": job_id, "of": "source"}]
    page = operator.ask("POST", "/api/v1/studies", json={"name": "x", "variants": variants} | change)
    assert (page.status, json.loads(page.text)["error"]["code"]) == (422, "BAD_VALUE")
