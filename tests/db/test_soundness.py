"""Rows that contradict one another are named, and sound ones are not."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, update

from db import ledger
from db.records import ItemResult
from db.session import Database
from db.soundness import contradictions
from db.tables import Item, JobProgress, Result, Task
from tests.db.desk import Desk, blob, reel, still


@pytest.fixture
def desk(database: Database) -> Desk:
    """Two jobs: one photo is done, another waits, a reel waits."""
    made = Desk(database)
    made.hire()
    made.submit([still(0)], key="a")
    lease = made.next_lease()
    ledger.complete_still(database, lease, made.items()[0].id, ItemResult(outputs={"still": blob()}))
    ledger.finish_bundle(database, lease)
    made.submit([still(0), reel(1)], key="b")
    ledger.fold_counters(database)
    ledger.finish_jobs(database)
    return made


def test_what_work_left_is_sound(desk: Desk) -> None:
    assert list(contradictions(desk.db)) == []
    desk.next_lease()
    assert list(contradictions(desk.db)) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            update(JobProgress).where(JobProgress.job_id == 1).values(items_done=5),
            "Job 1: items_done is 5, and there are 1",
        ),
        (
            update(JobProgress).where(JobProgress.job_id == 1).values(frames_total=3),
            "Job 1: frames_total is 3, and there are 1",
        ),
        (
            update(JobProgress).where(JobProgress.job_id == 1).values(frames_done=0),
            "Job 1: frames_done is 0, and there are 1",
        ),
        (update(Result).values(result_json='{"outputs": '), "result 1"),
        (update(Item).where(Item.id == 1).values(source_json="[]"), "item 1's source"),
        (delete(Result), "Item 1 is done, and has no result"),
        (update(Task).where(Task.item_id.is_not(None)).values(state="done"), "Item 3 waits, and no task of it does"),
    ],
)
def test_what_is_wrong_is_named(desk: Desk, damage: Any, said: str) -> None:
    with desk.db.write() as connection:
        connection.execute(damage)
    found = list(contradictions(desk.db))
    assert found
    assert all(said in line for line in found)
