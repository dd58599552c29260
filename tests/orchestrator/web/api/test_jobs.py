"""Text of any kind in questions and orders: refused or taken as text, never a fault of the server's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from db.ledger import access
from db.settings import Settings
from db.states import Role
from orchestrator.submit import SubmitOptions, submit
from orchestrator.web import serving
from orchestrator.web.app import make_app
from tests.conftest import Schema
from tests.support.visitor import ADDRESS, Visitor

HOSTILE = [
    "\0", "\ud800", "x" * 5000, "{{7*7}}", "<script>alert(1)</script>", "%", "_", "'; DROP TABLE items; --", "\u202e",
    "٣",
    " ",
    "\n",
    "-1", "1e400", "nan", "../../etc/passwd", "\U0010ffff",
]  # fmt: skip
QUESTIONS = [
    "text",
    "code",
    "score",
    "state",
    "cursor",
    "limit",
    "metric",
    "sort",
    "first",
    "generation",
    "region",
    "width",
]


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/api/v1/jobs/{}/items", "/api/v1/jobs/{}/failures", "/jobs/{}", "/", "/submit"]
)
def test_no_question_is_a_fault(operator: Visitor, job_id: int, path: str) -> None:
    wrong = []
    for name in QUESTIONS:
        for value in HOSTILE:
            query = {name: value.encode(errors="surrogatepass")}
            page = operator.ask("GET", path.format(job_id), params=query)
            wrong += [(name, value, page.status)] if page.status >= 500 else []
            assert "<script>alert" not in page.text or page.headers["Content-Type"] == "application/json"
    assert wrong == []


ORDERS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/tokens", {"name": "X"}),
    ("POST", "/api/v1/webhooks", {"url": "X", "events": ["job.done"]}),
    ("POST", "/api/v1/jobs/1/rerun", {"selection": {"text": "X"}}),
    ("POST", "/api/v1/jobs/1/rerun", {"selection": {"ids": ["X"]}}),
    ("POST", "/api/v1/jobs/1/rerun", {"selection": {"codes": ["X"]}}),
    ("POST", "/api/v1/jobs/1/rerun", {"recipe": "X"}),
    ("POST", "/api/v1/jobs/1/verify", {"ids": ["X"]}),
    ("POST", "/api/v1/recipes/check", {"text": "X"}),
    ("POST", "/api/v1/recipes/check", {"text": "[]", "name": "X"}),
    ("POST", "/api/v1/plans", {"root": "X", "place": "X"}),
    ("POST", "/api/v1/jobs", {"upload": "X", "name": "X"}),
    ("POST", "/api/v1/models", {"uploads": ["X"], "card": "X"}),
    ("POST", "/api/v1/comparisons", {"uploads": ["X"], "models": ["X"]}),
    ("POST", "/api/v1/evaluations", {"subject": "X", "root": "X", "references": "X"}),
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_no_order_is_a_fault(admin: Visitor, job_id: int, order: tuple[str, str, dict[str, Any]]) -> None:
    method, path, body = order
    wrong = []
    for value in HOSTILE:
        text = json.dumps(body).replace('"X"', json.dumps(value))
        page = admin.ask(method, path, headers={"Content-Type": "application/json"}, content=text.encode())
        wrong += [(value, page.status, page.text[:200])] if page.status >= 500 and page.status != 503 else []
    assert wrong == []


def test_what_postgres_cannot_hold_is_refused_too(settings: Settings, postgres_schema: Schema, archive: Path) -> None:
    with (
        postgres_schema.open() as database,
        serving.open_site(settings, database, ADDRESS, is_open=False) as site,
    ):
        token = access.add_token(database, os.urandom(8).hex(), Role.ADMIN)
        admin = Visitor(make_app(site), token)
        job_id = submit(settings, database, archive / "m.csv", SubmitOptions(recipe="identity")).job_id
        for path in (
            "/api/v1/jobs/{}",
            "/api/v1/items/{}",
            "/api/v1/jobs/{}/results.tar",
            "/jobs/{}",
            "/api/v1/looks/{}",
        ):
            for number in (10**11, 2**63, 10**25):
                assert admin.get(path.format(number)).status in {404, 422}, (path, number)
        for selection in ({"text": "\0"}, {"ids": ["\0"]}, {"ids": ["\ud800"]}):
            page = admin.ask(
                "POST",
                f"/api/v1/jobs/{job_id}/rerun",
                headers={"Content-Type": "application/json"},
                content=json.dumps({"selection": selection}).encode(),
            )
            assert page.status == 422, selection
        assert admin.ask("DELETE", "/api/v1/tokens/%00").status in {404, 422}


def test_a_rerun_of_another_number_than_was_seen_is_refused(operator: Visitor, job_id: int) -> None:
    rerun = f"/api/v1/jobs/{job_id}/rerun"
    page = operator.ask("POST", rerun, json={"expect": 99})
    assert (page.status, json.loads(page.text)["error"]["code"]) == (409, "COUNT_DIFFERS")


def test_orders_do_what_they_say_and_nothing_twice(operator: Visitor, job_id: int) -> None:
    job = f"/api/v1/jobs/{job_id}"
    steps = [("POST", "pause"), ("POST", "resume"), ("POST", "cancel")]
    states = [json.loads(operator.ask(method, f"{job}/{deed}").text)["state"] for method, deed in steps]
    assert states == ["paused", "running", "cancelled"]
    assert operator.ask("POST", f"{job}/resume").status == 409
    assert json.loads(operator.ask("PATCH", job, json={"priority": 3}).text).get("error", {}).get("code") in {
        None,
        "WRONG_STATE",
    }
