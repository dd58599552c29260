"""The page that lays pictures upon each other."""

from __future__ import annotations

from db import progress
from db.records import Blob
from db.session import Database
from tests.support.finished import finish
from tests.support.visitor import Visitor


def test_original_and_result_are_laid_upon_each_other(viewer: Visitor, home_database: Database, job_id: int) -> None:
    row = next(progress.items(home_database, job_id))
    finish(home_database, job_id, row.external_id, {"still": Blob(key="k", sha256="0" * 64, bytes=1)})
    page = viewer.get(f"/items/{row.id}/compare")
    layers = page.html.xpath("//*[@data-stage]/*[@data-name]")
    assert [each.get("data-name") for each in layers] == ["Original", "Restored"]
    assert page.html.xpath("//label[@for='edge']")
    assert len(page.html.xpath("//*[@data-without-script]//img")) == 2


def test_what_is_not_made_yet_cannot_be_compared(viewer: Visitor, home_database: Database, job_id: int) -> None:
    row = next(progress.items(home_database, job_id))
    page = viewer.get(f"/items/{row.id}/compare")
    assert (page.status, "Nothing was made" in page.words) == (404, True)
