"""Pages of items and jobs: whatever is asked and however they are turned, they are what a walk over all items finds."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from alembic import command
from sqlalchemy import insert, select, update

from db import ledger, pages, progress, session
from db.bounds import ScoreBound
from db.errors import InputError
from db.progress import ItemRow
from db.records import ItemResult
from db.selection import Selection
from db.session import Database
from db.states import ItemState
from db.tables import Item, ItemScore, Task
from tests.conftest import Schema
from tests.db.desk import Desk, blob, reel, still

COUNT = 60
CODES = (None, None, "CORRUPT", "FILE_MISSING")


@pytest.fixture
def job_id(database: Database) -> int:
    """A job with items of all states, codes and scores, between two others."""
    desk, chance = Desk(database), random.Random(5)
    desk.submit([still(seq) for seq in range(7)], key="a")
    made = desk.submit([still(seq) for seq in range(COUNT)], key="b")
    desk.submit([still(seq) for seq in range(7)], key="c")
    with database.write() as connection:
        for row in progress.items(database, made):
            code, state = chance.choice(CODES), chance.choice(list(ItemState))
            connection.execute(update(Item).where(Item.id == row.id).values(state=state, error_code=code))
            if chance.random() < 0.8:
                score = {"item_id": row.id, "job_id": made, "metric": "luma_psnr", "value": chance.choice((20, 30, 40))}
                connection.execute(insert(ItemScore).values(score))
    return made


def _scores(database: Database) -> dict[int, float]:
    with database.read() as connection:
        return {row.item_id: row.value for row in connection.execute(select(ItemScore.item_id, ItemScore.value))}


SELECTIONS: dict[str, tuple[Selection, Callable[[ItemRow, float | None], bool]]] = {
    "all": (Selection(), lambda row, score: True),
    "state": (Selection(states=(ItemState.DONE,)), lambda row, score: row.state == "done"),
    "states": (
        Selection(states=(ItemState.FAILED, ItemState.RUNNING, ItemState.FAILED)),
        lambda row, score: row.state in {"failed", "running"},
    ),
    "code": (Selection(codes=("CORRUPT",)), lambda row, score: row.code == "CORRUPT"),
    "code and state": (
        Selection((ItemState.FAILED,), ("CORRUPT", "FILE_MISSING")),
        lambda row, score: row.state == "failed" and row.code is not None,
    ),
    "text": (Selection(text="STILL1"), lambda row, score: row.external_id.startswith("still1")),
    "text that means itself": (Selection(text="%"), lambda row, score: False),
    "score": (
        Selection(scores=(ScoreBound("luma_psnr", "<", 30),)),
        lambda row, score: score is not None and score < 30,
    ),
    "all of it": (
        Selection((ItemState.DONE, ItemState.FAILED), text="l", scores=(ScoreBound("luma_psnr", ">=", 30),)),
        lambda row, score: row.state in {"done", "failed"} and score is not None and score >= 30,
    ),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_pages_turned_forth_and_back_are_what_a_walk_finds(
    database: Database, job_id: int, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(pages, "WINDOW", 9)
    selection, meant = SELECTIONS[name]
    scores = _scores(database)
    expected = [row for row in progress.items(database, job_id) if meant(row, scores.get(row.id))]
    forth: list[ItemRow] = []
    edge = -1
    for _ in range(200):
        page = pages.item_page(database, job_id, selection, after=edge, limit=limit)
        forth += page.rows
        if not page.more:
            break
        edge = page.rows[-1].seq if page.searched_to is None else page.searched_to
    assert forth == expected
    back: list[ItemRow] = []
    edge = COUNT
    for _ in range(200):
        page = pages.item_page(database, job_id, selection, before=edge, limit=limit)
        back = [*page.rows, *back]
        if not page.more:
            break
        edge = page.rows[0].seq if page.searched_to is None else page.searched_to
    assert back == expected


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">="])
def test_the_worst_come_first_page_by_page(database: Database, job_id: int, relation: str) -> None:
    bound = ScoreBound.parse(f" luma_psnr{relation} 30 ")
    scores = {row.id: _scores(database).get(row.id) for row in progress.items(database, job_id)}
    compared = {"<": lambda x: x < 30, "<=": lambda x: x <= 30, ">": lambda x: x > 30, ">=": lambda x: x >= 30}[
        relation
    ]
    sign = -1 if relation in {">", ">="} else 1
    expected = sorted(
        (sign * score, number) for number, score in scores.items() if score is not None and compared(score)
    )
    found: list[tuple[float, int]] = []
    after = None
    while rows := pages.worst_items(database, job_id, bound, after=after, limit=4):
        found += [(sign * score, row.id) for score, row in rows]
        after = (rows[-1][0], rows[-1][1].id)
    assert found == expected


def test_jobs_come_newest_first_page_by_page(database: Database, job_id: int) -> None:
    first = pages.job_page(database, limit=2)
    assert ([row.id for row in first.rows], first.more) == ([job_id + 1, job_id], True)
    last = pages.job_page(database, before_id=job_id, limit=2)
    assert ([row.id for row in last.rows], last.more) == ([job_id - 1], False)
    assert pages.item_page(database, 99, Selection()).rows == ()


@pytest.mark.parametrize("text", ["", "luma_psnr", "luma_psnr < ", "< 3", "a < b", "luma_psnr < 1e9", "x=3", "é < 3"])
def test_what_is_no_bound_of_a_score_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="luma_psnr < 30"):
        ScoreBound.parse(text)


def test_a_hundred_thousand_ids_are_no_trouble(database: Database, job_id: int) -> None:
    """A statement takes so many variables and no more; what is named is asked for in parts."""
    with database.write() as connection:
        connection.execute(update(Item).where(Item.job_id == job_id).values(state=ItemState.FAILED))
    ids = tuple(f"still{number}" for number in range(100_000))
    assert ledger.rerun(database, job_id, Selection(external_ids=ids)) == COUNT


def test_a_rerun_takes_what_a_score_and_a_text_name(database: Database, job_id: int) -> None:
    with database.write() as connection:
        connection.execute(update(Item).where(Item.job_id == job_id).values(state=ItemState.DONE))
    scores = _scores(database)
    expected = [
        row.external_id
        for row in progress.items(database, job_id)
        if "2" in row.external_id and scores.get(row.id, 99) < 40
    ]
    selection = Selection(text="2", scores=(ScoreBound("luma_psnr", "<", 40),))
    assert ledger.rerun(database, job_id, selection) == len(expected)
    pending = progress.items(database, job_id, states=(ItemState.PENDING,))
    assert [row.external_id for row in pending] == expected


def test_scores_are_those_of_the_newest_result(database: Database) -> None:
    """What is no number leads nowhere, and what a rerun did not measure is gone."""
    desk = Desk(database)
    job_id = desk.submit([still(0)])
    desk.hire()
    lease = desk.next_lease()
    first = {"luma_psnr": 31.5, "luma_ssim": float("nan"), "sharpness": float("inf"), "flicker": 2.0}
    ledger.complete_still(database, lease, 1, ItemResult(outputs={"still": blob()}, scores=first))
    ledger.finish_bundle(database, lease)
    assert _rows(database) == [(1, "flicker", 2.0), (1, "luma_psnr", 31.5)]
    ledger.rerun(database, job_id, Selection((ItemState.DONE,)))
    assert _rows(database) == [(1, "flicker", 2.0), (1, "luma_psnr", 31.5)]  # the last that there is
    ledger.complete_still(
        database, desk.next_lease(), 1, ItemResult(outputs={"still": blob()}, scores={"luma_psnr": 29})
    )
    assert _rows(database) == [(1, "luma_psnr", 29.0)]


def test_scores_of_before_are_written_down_when_the_schema_is_upgraded(schema: Schema) -> None:
    with schema.open() as database:
        desk = Desk(database)
        job_id = desk.submit([still(0), still(1)])
        desk.hire()
        lease = desk.next_lease()
        for item_id in (1, 2):
            scores = {"luma_psnr": 30.0 + item_id, "luma_ssim": float("nan")}
            ledger.complete_still(database, lease, item_id, ItemResult(outputs={"still": blob()}, scores=scores))
        ledger.finish_bundle(database, lease)
        ledger.rerun(database, job_id, Selection(external_ids=("still0",)))
        ledger.complete_still(database, desk.next_lease(), 1, ItemResult(outputs={}, scores={"luma_psnr": 40.0}))
        before = _rows(database)
        with database.write() as connection:
            command.downgrade(session._alembic(connection), "0004")
        session.upgrade(database)
        assert _rows(database) == before == [(1, "luma_psnr", 40.0), (2, "luma_psnr", 32.0)]


def _rows(database: Database) -> list[tuple[int, str, float]]:
    wanted = select(ItemScore.item_id, ItemScore.metric, ItemScore.value).order_by(ItemScore.item_id, ItemScore.metric)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(wanted)]


def test_an_item_is_found_by_its_number_with_its_job(database: Database, job_id: int) -> None:
    row = next(progress.items(database, job_id))
    assert pages.item(database, row.id) == (job_id, row)
    with pytest.raises(InputError, match="number 0") as caught:
        pages.item(database, 0)
    assert caught.value.code == "UNKNOWN_ITEM"


def test_numbers_become_ids_of_that_job_alone(database: Database, job_id: int) -> None:
    rows = list(progress.items(database, job_id))
    foreign = next(progress.items(database, job_id - 1))
    numbers = [rows[9].id, rows[3].id, foreign.id]
    assert pages.external_ids(database, job_id, numbers) == (rows[3].external_id, rows[9].external_id)


def test_codes_are_counted_the_most_frequent_first(database: Database, job_id: int) -> None:
    codes = [row.code for row in progress.items(database, job_id) if row.code]
    counts = pages.code_counts(database, job_id)
    assert counts == {code: codes.count(code) for code in set(codes)}
    assert list(counts.values()) == sorted(counts.values(), reverse=True)


@pytest.mark.parametrize("name", SELECTIONS)
def test_what_can_be_started_again_is_counted(database: Database, job_id: int, name: str) -> None:
    selection, fits = SELECTIONS[name]
    scores = _scores(database)
    over = {"done", "failed", "quarantined", "cancelled"}
    expected = [row for row in progress.items(database, job_id) if row.state in over and fits(row, scores.get(row.id))]
    assert pages.finished_count(database, job_id, selection) == len(expected)


def test_a_running_task_is_told_with_its_worker_and_its_place(database: Database) -> None:
    desk = Desk(database)
    desk.submit([still(0)])
    desk.hire("w7")
    assert pages.tasks_in_hand(database) == ()
    lease = desk.next_lease()
    (task,) = pages.tasks_in_hand(database)
    assert (task.worker, task.task_id, task.kind, task.item_id) == ("w7", lease.task_id, "restore", None)


def test_a_task_waits_for_a_signature_that_nobody_alive_has(database: Database) -> None:
    desk = Desk(database)
    desk.submit([reel(0)])
    with database.write() as connection:
        connection.execute(update(Task).values(signature="other"))
    desk.hire("w1", "sig")
    assert pages.stranded_tasks(database, 60) == {"other": 1}
    desk.hire("w2", "other")
    assert pages.stranded_tasks(database, 60) == {}
