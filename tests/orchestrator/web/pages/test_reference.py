"""The page of the API's routes."""

from __future__ import annotations

from orchestrator.web.app import make_routes
from tests.support.visitor import Visitor


def test_every_route_is_there_with_a_sentence(viewer: Visitor) -> None:
    summaries = viewer.get("/api").html.xpath("//details/summary")
    shown = {tuple(each.xpath("./span[1]")[0].text_content().split()) for each in summaries}
    paths = make_routes().openapi()["paths"]
    assert shown == {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert all(each.xpath("./span[2]")[0].text_content().strip().endswith(".") for each in summaries)


def test_what_must_be_given_is_marked(viewer: Visitor) -> None:
    page = viewer.get("/api")
    (row,) = page.html.xpath("//details[contains(summary, '/pause')]//tbody/tr")
    assert [each.text_content() for each in row] == ["job_id required", "integer", ""]
