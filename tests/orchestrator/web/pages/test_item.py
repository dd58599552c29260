"""One item's page: what it is, what was made of it, and where to look."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from db import progress
from db.records import Blob
from db.session import Database
from db.tables import Item, Result
from tests.support.finished import finish
from tests.support.visitor import Visitor


@pytest.fixture
def done(home_database: Database, job_id: int) -> int:
    """The number of a still that is finished, with two runs of frames below a gate."""
    row = next(progress.items(home_database, job_id))
    finish(home_database, job_id, row.external_id, {"still": Blob(key="k", sha256="ab" * 32, bytes=4321)})
    with home_database.write() as connection:
        text = (
            '{"outputs": {"still": {"key": "k", "sha256": "%s", "bytes": 4321}}, "scores": {"luma_psnr": 22.5}, '
            '"notes": ["<i>kept</i>"], "below_gates": [{"metric": "luma_psnr", "gate": ">= 30", "value": 22.5}]}'
        ) % ("ab" * 32)
        connection.execute(update(Result).where(Result.item_id == row.id).values(result_json=text))
    return row.id


def test_a_failed_item_says_code_cause_and_remedy(viewer: Visitor, home_database: Database, job_id: int) -> None:
    gone = next(row for row in progress.items(home_database, job_id) if row.external_id == "gone")
    words = viewer.get(f"/items/{gone.id}").words
    assert "FILE_MISSING" in words
    assert "c.jpg' is not there" in words
    assert str(gone.remedy) in words


def test_a_finished_item_shows_outputs_scores_notes_and_what_is_below_a_gate(viewer: Visitor, done: int) -> None:
    page = viewer.get(f"/items/{done}")
    assert f"/api/v1/items/{done}/outputs/still?generation=1" in page.links()
    for said in ("4.3 kB", "luma_psnr", "22.5", ">= 30", "<i>kept</i>", "Below a gate"):
        assert said in page.words
    assert f"/items/{done}/compare" in page.links()


def test_without_script_both_pictures_are_there(viewer: Visitor, done: int) -> None:
    pictures = viewer.get(f"/items/{done}?frame=5").html.xpath("//noscript//img/@src")
    assert [("of=source" in each, "/frames/5?" in each) for each in pictures] == [(True, True), (False, True)]


def test_a_reel_that_waits_has_no_pictures_and_no_fault(viewer: Visitor, home_database: Database, job_id: int) -> None:
    reel = next(row for row in progress.items(home_database, job_id) if row.external_id == "reel")
    page = viewer.get(f"/items/{reel.id}")
    assert page.status == 200
    assert page.html.xpath("//main//img") == []
    assert "Nobody has worked on it yet" in page.words


def test_an_unknown_number_is_told(viewer: Visitor) -> None:
    page = viewer.get("/items/999")
    assert (page.status, "UNKNOWN_ITEM" in page.words) == (404, True)


def test_marks_that_turn_round_what_is_shown_are_spelled_out(
    viewer: Visitor, home_database: Database, done: int
) -> None:
    with home_database.write() as connection:
        connection.execute(update(Item).where(Item.id == done).values(uri="/a/\u202egpj.exe"))
    assert "\\u202e" in viewer.get(f"/items/{done}").text


def test_another_generation_is_laid_over_the_timeline(viewer: Visitor, home_database: Database, job_id: int) -> None:
    reel = next(row for row in progress.items(home_database, job_id) if row.external_id == "reel")
    blob = Blob(key="k", sha256="0" * 64, bytes=1)
    finish(home_database, job_id, reel.external_id, {"master": blob, "timeline": blob})
    page = viewer.get(f"/items/{reel.id}?beside=7")
    (timeline,) = page.html.xpath("//*[@data-timeline]")
    assert timeline.get("data-url").endswith("/timeline?generation=1")
    assert timeline.get("data-other").endswith("/timeline?generation=7")
    assert "Dashed blue: generation 7" in page.words
    assert "timeline" not in {each.text_content().strip() for each in page.html.xpath("//tbody//th")}
