"""Figures for Prometheus: its own parser reads them, nothing in them comes from a manifest, and they cost little."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from db import figures as sums
from db.session import Database
from orchestrator.web.figures import METHODS
from orchestrator.web.site import Site
from tests.support.finished import finish
from tests.support.visitor import OWN_PAGE, Visitor


def read(visitor: Visitor) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    page = visitor.get("/metrics")
    assert page.status == 200
    return {
        family.name: {tuple(sorted(each.labels.items())): each.value for each in family.samples}
        for family in text_string_to_metric_families(page.text)
    }


def test_prometheus_reads_what_there_is(viewer: Visitor, home_database: Database, job_id: int) -> None:
    finish(home_database, job_id, "one", {})
    found = read(viewer)
    assert found["reelwright_jobs"][(("state", "ready"),)] == 1
    assert found["reelwright_failed_items"] == {(("code", "FILE_MISSING"),): 1, (("code", "ZERO_BYTE"),): 1}
    assert {"reelwright_items", "reelwright_tasks", "reelwright_oldest_queued_seconds", "reelwright_deliveries"} <= set(
        found
    )


def test_no_label_comes_from_a_manifest_or_a_stranger(app: ASGIApp, viewer: Visitor, job_id: int) -> None:
    for number in range(20):
        Visitor(app).ask(f"M{number}", f"/api/v1/jobs/{job_id}", headers=OWN_PAGE)
        Visitor(app).get(f"/nowhere/{number}")
        viewer.get(f"/api/v1/items/{number + 1000}")
    page = viewer.get("/metrics")
    for word in ("Box 7", "First", "a.jpg", "M1", "nowhere", "1001", "m.csv", "vi"):
        assert f'"{word}' not in page.text
    requests = read(viewer)["reelwright_http_requests"]
    labels = [dict(each) for each in requests]
    assert {each["method"] for each in labels} <= METHODS | {""}
    assert len(requests) < 10
    assert max(value for each, value in requests.items() if ("route", "/api/v1/items/{item_id}") in each) == 20


def test_who_asks_again_within_ten_seconds_costs_the_database_nothing(
    viewer: Visitor, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    figures = sums.figures

    def count(database: Database, lease_seconds: float) -> sums.InstallationSums:
        asked.append(1)
        return figures(database, lease_seconds)

    monkeypatch.setattr(sums, "figures", count)
    for _ in range(5):
        read(viewer)
    assert len(asked) == 1
    site.figures._asked_at -= 11
    read(viewer)
    assert len(asked) == 2
