"""One old photo, from the form to the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import progress
from db.records import Blob
from db.session import Database
from orchestrator.web.pages.photo import PRIORITY, STEPS
from tests.support.finished import finish
from tests.support.servers import wait_until
from tests.support.visitor import OWN_PAGE, Page, Visitor


def send(visitor: Visitor, archive: Path, steps: list[str]) -> Page:
    files = {"file": ("Oma 1932.jpg", (archive / "a.jpg").read_bytes(), "image/jpeg")}
    return visitor.ask("POST", "/photo", headers=OWN_PAGE, files=files, data={"step": steps})


@pytest.fixture
def sent(operator: Visitor, archive: Path) -> str:
    """The address of a photo's page."""
    place = send(operator, archive, ["color_enhance", "", "denoise", "denoise"]).headers["location"]
    wait_until(lambda: operator.get(place).status == 303, 30, "there is a job")
    return operator.get(place).headers["location"]


def test_a_photo_becomes_a_job_of_one_item_before_all_others(
    operator: Visitor, home_database: Database, sent: str
) -> None:
    job = progress.job(home_database, int(sent.rpartition("/")[2]))
    assert [step.stage for step in job.recipe.steps] == ["color_enhance", "denoise"]
    assert job.priority == PRIORITY
    assert [row.external_id for row in progress.items(home_database, job.id)] == ["Oma 1932.jpg"]


def test_it_says_that_it_waits_for_a_worker(operator: Visitor, sent: str) -> None:
    page = operator.get(sent)
    assert "It waits for a worker" in page.words
    assert "reelwright-denoise" in page.words


def test_the_finished_photo_can_be_compared_and_downloaded(
    operator: Visitor, home_database: Database, sent: str
) -> None:
    job_id = int(sent.rpartition("/")[2])
    (row,) = progress.items(home_database, job_id)
    finish(home_database, job_id, row.external_id, {"still": Blob(key="k", sha256="0" * 64, bytes=1)})
    page = operator.get(sent)
    assert page.html.xpath("//*[@data-compare]")
    assert f"/api/v1/items/{row.id}/outputs/still" in page.links()


def test_a_step_and_a_photo_are_needed(operator: Visitor, archive: Path) -> None:
    assert "BAD_VALUE" in send(operator, archive, [""]).words
    assert "BAD_VALUE" in operator.send("/photo", [("step", "denoise")]).words


def test_every_step_is_one_that_a_recipe_may_have(operator: Visitor, viewer: Visitor, archive: Path) -> None:
    assert send(operator, archive, list(STEPS)).status == 303
    assert send(viewer, archive, list(STEPS)).status == 403
