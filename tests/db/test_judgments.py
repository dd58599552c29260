"""Pages of reviews: whatever is asked and however they are turned, and read along an index."""

from __future__ import annotations

import random
import re

import pytest
from sqlalchemy import insert, update

from db import judgments
from db.judgments import ReviewRow
from db.session import Database
from db.states import Verdict
from db.tables import Item, Review
from tests.db.desk import Desk, reel, still

COUNT = 60


@pytest.fixture
def written(database: Database) -> list[int]:
    """Two jobs with reviews of all sorts, many at one distance; returns the numbers of the jobs."""
    desk, chance = Desk(database), random.Random(7)
    jobs = [desk.submit([still(0), reel(1)], key=key) for key in "ab"]
    with database.write() as connection:
        for _ in range(COUNT):
            verdict = chance.choice((None, None, *Verdict))
            decided_at = 1.0 if verdict in (Verdict.ACCEPTED, Verdict.REJECTED) else None
            job = chance.choice((0, 1))
            values = {"job_id": jobs[job], "item_id": 2 * job + chance.choice((1, 2)), "generation": 1, "metric": "m"}
            values |= {"gate": "> 1", "value": 0.5, "distance": chance.choice((0.1, 0.2, 0.5, 3.0))}
            connection.execute(insert(Review).values(**values, verdict=verdict, decided_at=decided_at))
    return jobs


def key(row: ReviewRow) -> tuple[float, int]:
    return row.distance, row.id


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize("of_job", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_turned_forth_and_back_are_all_that_is_meant_with_the_worst_first(
    database: Database, written: list[int], decided: bool, of_job: bool, limit: int
) -> None:
    job_id = written[0] if of_job else None
    every = [row for rows in judgments.item_reviews(database, range(1, 5)).values() for row in rows]
    assert len(every) == COUNT
    meant = [row for row in every if job_id in (None, row.job_id) and (row.decided_at is not None) == decided]
    meant = sorted((row for row in meant if row.verdict is not Verdict.SUPERSEDED), key=key, reverse=True)
    forth: list[ReviewRow] = []
    page = judgments.review_page(database, job_id=job_id, decided=decided, limit=limit)
    while True:
        forth += page.rows
        if not page.more:
            break
        after = key(page.rows[-1])
        page = judgments.review_page(database, job_id=job_id, decided=decided, after=after, limit=limit)
    assert forth == meant
    back: list[ReviewRow] = []
    before = (0.0, 0)
    while True:
        page = judgments.review_page(database, job_id=job_id, decided=decided, before=before, limit=limit)
        back = [*page.rows, *back]
        if not page.more:
            break
        before = key(page.rows[0])
    assert back == meant


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize("job_id", [None, 1])
@pytest.mark.parametrize("edge", ["", "after", "before"])
def test_a_page_is_read_along_an_index_and_never_sorted(
    database: Database, written: list[int], decided: bool, job_id: int | None, edge: str
) -> None:
    place = {"after": None, "before": None} | ({edge: (0.2, 30)} if edge else {})
    statement = judgments.page_statement(job_id, decided, **place).limit(10)
    text = str(statement.compile(database.engine, compile_kwargs={"literal_binds": True}))
    index = f"reviews_{'decided' if decided else 'open'}{'_of_job' if job_id else ''}"
    with database.write() as connection:
        if not database.is_sqlite:  # so few rows are read whole, unless it is forbidden
            # What it takes tables to hold may be from before they were filled: then one index is as good as another.
            connection.exec_driver_sql("ANALYZE items, reviews")
            for way in ("seqscan", "sort", "bitmapscan", "hashjoin", "mergejoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        plan = " | ".join(str(row) for row in connection.exec_driver_sql(explain + text))
    assert re.search(rf"\b{index}\b", plan), plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    if edge:  # begun where the page begins, not looked for from the head
        assert ("SEARCH reviews" if database.is_sqlite else "(ROW(distance, id)") in plan, plan


def test_reviews_of_items_nobody_asked_for_are_left_out(database: Database, written: list[int]) -> None:
    assert set(judgments.item_reviews(database, [1, 3, 99])) == {1, 3}


def test_items_are_to_be_done_again_as_long_as_their_rejected_result_is_the_newest(
    database: Database, written: list[int]
) -> None:
    rows = [row for found in judgments.item_reviews(database, range(1, 5)).values() for row in found]
    meant = {row.item_id for row in rows if row.job_id == written[0] and row.verdict is Verdict.REJECTED}
    own = sorted(meant & {1, 2})
    assert own
    assert judgments.rejected_items(database, written[0], 10) == tuple(own)
    assert judgments.rejected_items(database, written[0], 1) == tuple(own[:1])
    with database.write() as connection:
        connection.execute(update(Item).where(Item.id == own[0]).values(generation=2))
    assert judgments.rejected_items(database, written[0], 10) == tuple(own[1:])
