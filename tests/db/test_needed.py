"""Blobs are needed as long as a row that counts points to them."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from db import ledger, needed
from db.errors import InputError
from db.records import ItemResult, TaskResult
from db.session import Database
from db.tables import Result
from tests.db.desk import Desk, blob, still


def _keys(database: Database) -> set[str]:
    with database.freeze() as connection:
        return {need.key.rpartition("/")[2] for need in needed.needs(connection)}


def test_a_reel_needs_what_it_goes_on_from_and_then_its_result(database: Database) -> None:
    desk = Desk(database)
    desk.probed_reel(16, (0, 8), (8, 16))
    assert _keys(database) == {"index"}
    ledger.complete_task(database, desk.next_lease(), TaskResult(outputs={"chunk": blob("chunk")}, frames=8))
    assert _keys(database) == {"index", "chunk"}
    ledger.fail_reel(database, desk.items()[0].id, ledger.Failure("CORRUPT", "bad", "send it"))
    assert _keys(database) == set()


def test_results_of_every_generation_are_needed(database: Database) -> None:
    desk = Desk(database)
    desk.hire()
    job_id = desk.submit([still(0)])
    for name in ("first", "second"):
        lease = desk.next_lease()
        result = ItemResult(outputs={"still": blob(name)}, scores={})
        ledger.complete_still(database, lease, desk.items()[0].id, result)
        ledger.finish_bundle(database, lease)
        ledger.finish_jobs(database)
        if name == "first":
            ledger.rerun(database, job_id, ledger.Selection(external_ids=("still0",)))
    assert _keys(database) == {"first", "second"}


def test_a_row_that_cannot_be_read_is_named(database: Database) -> None:
    desk = Desk(database)
    desk.hire()
    desk.submit([still(0)])
    lease = desk.next_lease()
    ledger.complete_still(database, lease, desk.items()[0].id, ItemResult(outputs={"still": blob()}, scores={}))
    with database.write() as connection:
        connection.execute(update(Result).values(result_json='{"sha256": '))
    with pytest.raises(InputError, match="result 1's outputs") as caught:
        _keys(database)
    assert caught.value.code == "RECORD_UNREADABLE"
