"""A machine at fault is told from work at fault: by what others make of the same tasks."""

from __future__ import annotations

import pytest

from db import administration, ledger, progress
from db.ledger.draining import FAILURES_IN_A_ROW, FINISHED_BY_OTHERS
from db.records import ItemResult
from db.session import Database
from tests.db.desk import Desk, blob, still

COUNT = FAILURES_IN_A_ROW


@pytest.fixture
def desk(database: Database) -> Desk:
    made = Desk(database)
    for worker in ("good", "bad"):
        made.hire(worker)
    made.submit([still(seq) for seq in range(COUNT)], bundle=1)
    return made


def _next(desk: Desk, worker: str) -> ledger.Lease | None:
    desk.dispatch()
    task = desk.tasks(state="queued")[0]
    return desk.lease(ledger.Doorbell(task.id, task.dispatch_epoch, task.queue), worker)


def _fail(desk: Desk, worker: str) -> None:
    lease = _next(desk, worker)
    assert lease is not None
    ledger.retry(desk.db, lease, ledger.Failure("STORE_FAILED", "no", "mend"), max_attempts=99, backoff_seconds=0.0)


def _finish(desk: Desk, worker: str) -> None:
    lease = _next(desk, worker)
    assert lease is not None
    item = next(item for item in desk.items() if item.task_id == lease.task_id)
    ledger.complete_still(desk.db, lease, item.id, ItemResult(outputs={"still": blob()}))
    ledger.finish_bundle(desk.db, lease)


def test_who_fails_at_what_another_finishes_is_drained_and_named(desk: Desk) -> None:
    for _ in range(COUNT):
        _fail(desk, "bad")
        _finish(desk, "good")
    (worker,) = ledger.drain_failing(desk.db)
    assert (worker.boot_id, worker.host, worker.code) == ("bad", "host", "STORE_FAILED")
    assert {row.boot_id: row.state for row in progress.workers(desk.db)} == {"good": "live", "bad": "drained"}
    (deed,) = administration.audit_page(desk.db).rows
    assert (deed.action, deed.what) == ("drain", "worker bad on host")
    assert ledger.drain_failing(desk.db) == ()
    # It gets nothing more, whatever it is rung for, and its heartbeat tells it to end.
    desk.submit([still(0)], key="o")
    assert _next(desk, "bad") is None
    renewal = ledger.heartbeat(desk.db, "bad", None, 0, 60.0)
    assert renewal is not None
    assert renewal.drained
    assert ledger.is_drained(desk.db, "bad")
    assert ledger.heartbeat(desk.db, "good", None, 0, 60.0) is None


def test_work_that_fails_everywhere_drains_nobody(desk: Desk) -> None:
    for number in range(2 * COUNT):
        _fail(desk, ("good", "bad")[number % 2])
    assert ledger.drain_failing(desk.db) == ()


def test_one_success_in_between_is_enough(desk: Desk) -> None:
    for number in range(COUNT):
        if number == COUNT - 1:
            _finish(desk, "bad")
        else:
            _fail(desk, "bad")
            _finish(desk, "good")
    assert ledger.drain_failing(desk.db) == ()


def test_a_few_failures_of_which_others_finished_few_are_no_proof(desk: Desk) -> None:
    for number in range(COUNT):
        _fail(desk, "bad")
        if number < FINISHED_BY_OTHERS - 1:
            _finish(desk, "good")
    assert ledger.drain_failing(desk.db) == ()
