"""Who works, and what waits."""

from __future__ import annotations

from sqlalchemy import update

from db.session import Database
from db.tables import Task, Worker
from tests.db.desk import Desk
from tests.support.visitor import Visitor


def test_without_workers_the_page_says_how_to_start_one(viewer: Visitor) -> None:
    assert "reelwright worker" in viewer.get("/workers").words


def test_a_worker_is_shown_with_what_it_has_in_hand(viewer: Visitor, home_database: Database, job_id: int) -> None:
    desk = Desk(home_database)
    desk.hire("w7")
    desk.next_lease()
    page = viewer.get("/workers")
    assert "1 worker at work" in page.words
    assert f"/jobs/{job_id}" in page.links()


def test_a_worker_that_keeps_silent_is_told_by_a_word(viewer: Visitor, home_database: Database) -> None:
    Desk(home_database).hire("w7")
    with home_database.write() as connection:
        connection.execute(update(Worker).values(heartbeat_at=Worker.heartbeat_at - 3600))
    page = viewer.get("/workers")
    assert "silent" in page.words
    assert "0 workers at work" in page.words


def test_work_that_nobody_there_can_do_is_told(viewer: Visitor, home_database: Database, job_id: int) -> None:
    with home_database.write() as connection:
        connection.execute(update(Task).where(Task.kind == "probe").values(signature="avx512-other"))
    assert "avx512-other" in viewer.get("/workers").words
