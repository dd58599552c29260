"""The list of jobs, and what a job is told by buttons."""

from __future__ import annotations

import json

import pytest

from db import progress
from db.session import Database
from orchestrator.web.site import Site
from tests.support.visitor import Visitor


def test_an_empty_home_says_how_to_begin(viewer: Visitor) -> None:
    page = viewer.get("/")
    assert page.status == 200
    assert "There is no job yet" in page.words
    assert "/submit" in page.links()


def test_a_job_is_listed_with_its_progress_and_what_failed(viewer: Visitor, job_id: int) -> None:
    page = viewer.get("/")
    assert "Box 7" in page.words
    assert "2 of 5 items" in page.words
    assert f"/jobs/{job_id}/failed" in page.links()


def test_a_viewer_is_shown_no_button_and_may_press_none(viewer: Visitor, job_id: int) -> None:
    assert viewer.get("/").html.xpath("//main//form[@method='post']") == []
    assert viewer.send(f"/jobs/{job_id}/pause").status == 403


@pytest.mark.parametrize(
    ("word", "state", "said"), [("pause", "paused", "Paused."), ("cancel", "cancelled", "Cancelled.")]
)
def test_a_button_changes_the_job_and_the_page_says_so(
    operator: Visitor, home_database: Database, job_id: int, word: str, state: str, said: str
) -> None:
    answer = operator.send(f"/jobs/{job_id}/{word}", [("at", "jobs")])
    assert (answer.status, progress.job(home_database, job_id).state) == (303, state)
    assert said in operator.get(answer.headers["location"]).words


def test_a_paused_job_says_who_paused_it_and_goes_on(operator: Visitor, home_database: Database, job_id: int) -> None:
    operator.send(f"/jobs/{job_id}/pause")
    assert "paused by ada" in operator.get(f"/jobs/{job_id}").words
    operator.send(f"/jobs/{job_id}/resume")
    assert progress.job(home_database, job_id).state == "running"


def test_the_confirmation_names_how_many_items_are_given_up(operator: Visitor, job_id: int) -> None:
    (sheet,) = operator.get("/").html.xpath("//details[contains(., 'Cancel')]")
    assert "3 items will not be done" in " ".join(sheet.text_content().split())


def test_priority_is_set(operator: Visitor, home_database: Database, job_id: int) -> None:
    operator.send(f"/jobs/{job_id}/priority", [("priority", "7")])
    assert progress.job(home_database, job_id).priority == 7
    assert operator.send(f"/jobs/{job_id}/priority", [("priority", "x")]).status == 422


def test_what_a_state_forbids_is_told_with_its_code(operator: Visitor, job_id: int) -> None:
    page = operator.send(f"/jobs/{job_id}/resume")
    assert page.status == 409
    assert "WRONG_STATE" in page.words


def test_an_address_cannot_put_words_on_a_page(viewer: Visitor, job_id: int) -> None:
    page = viewer.get("/?done=You+are+hacked&count=<b>")
    assert "hacked" not in page.text
    assert page.html.xpath("//*[@role='status']") == []


def test_a_list_follows_a_stream_only_while_something_moves(operator: Visitor, site: Site, job_id: int) -> None:
    assert "hx-sse" in operator.get("/").text
    operator.send(f"/jobs/{job_id}/cancel")
    assert "htmx" not in operator.get("/").text


def test_an_update_that_fails_takes_nothing_away_from_a_page_that_moves(viewer: Visitor, job_id: int) -> None:
    for path in ("/", f"/jobs/{job_id}"):
        (config,) = viewer.get(path).html.xpath("//meta[@name='htmx-config']/@content")
        assert {"4xx", "5xx"} <= set(json.loads(config)["noSwap"])
