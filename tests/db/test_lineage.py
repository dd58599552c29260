"""All that is known of single items, on both databases."""

from __future__ import annotations

import pytest

from db import ledger
from db.errors import InputError
from db.lineage import lineages
from db.session import Database
from db.states import ItemState
from tests.db.desk import Desk, done_still, reel, still


def test_a_still_keeps_the_attempts_of_the_bundle_that_brought_its_result(database: Database) -> None:
    desk = Desk(database)
    job = desk.submit([still(0), still(1)])
    desk.hire("w1")
    ledger.retry(database, desk.next_lease(), ledger.Failure("STORE_FAILED", "full", "free it"), max_attempts=5,
                 backoff_seconds=0)  # fmt: skip
    desk.hire("w2")
    lease = desk.next_lease()
    for row in desk.items():
        ledger.complete_still(database, lease, row.id, done_still())
    ledger.finish_bundle(database, lease)
    found = list(lineages(database, job))
    assert [each.external_id for each in found] == ["still0", "still1"]
    for each in found:
        assert each.newest is not None
        assert [(row.worker, row.outcome) for row in each.newest.attempts] == [("w1", "retry"), ("w2", "done")]
        assert set(each.machines) == {"w1", "w2"}
        assert each.machines["w2"].signature == "sig"
        assert each.record is not None
        assert each.record.source.uri == f"/a/{each.seq}.png"


def test_generations_stay_apart(database: Database) -> None:
    desk = Desk(database)
    job = desk.submit([still(0)])
    desk.hire()
    for number in range(2):
        if number:
            ledger.rerun(database, job, ledger.Selection(external_ids=("still0",)))
        lease = desk.next_lease()
        ledger.complete_still(database, lease, desk.items()[0].id, done_still())
        ledger.finish_bundle(database, lease)
        ledger.finish_jobs(database)
    (found,) = lineages(database, job)
    assert [generation.number for generation in found.generations] == [1, 2]
    assert [len(generation.attempts) for generation in found.generations] == [1, 1]
    assert found.newest is found.generations[-1]


def test_a_reel_keeps_the_attempts_of_all_its_tasks(database: Database) -> None:
    desk = Desk(database)
    job = desk.probed_reel(16, (0, 8), (8, 16))
    (found,) = lineages(database, job)
    assert found.newest is None
    assert found.state is ItemState.RUNNING
    assert found.record is not None
    assert found.record.facts is not None
    assert found.signature == "sig"


def test_items_come_page_by_page_in_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.lineage.PAGE", 2)
    job = Desk(database).submit([still(0), reel(1), still(2), still(3), reel(4)])
    assert [each.seq for each in lineages(database, job)] == [0, 1, 2, 3, 4]
    assert [each.seq for each in lineages(database, job, external_ids=("still2", "nobody"))] == [2]


def test_an_unknown_job_is_named(database: Database) -> None:
    with pytest.raises(InputError) as caught:
        next(lineages(database, 7))
    assert caught.value.code == "UNKNOWN_JOB"
