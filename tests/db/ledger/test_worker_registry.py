"""Which kinds of workers live, on both databases."""

from __future__ import annotations

from db import ledger, progress
from db.ledger import WorkerIdentity, WorkerKind
from db.session import Database


def test_workers_that_live_are_counted_by_kind_and_those_on_cores_told_from_others(database: Database) -> None:
    for number, (device, signature) in enumerate([("cuda:0", "b"), ("cuda:1", "b"), ("cpu", "a"), ("mps", "c")]):
        ledger.register_worker(database, WorkerIdentity(f"w{number}", "host", number, device, signature, {}))
    ledger.register_worker(database, WorkerIdentity("gone", "host", 9, "cpu", "d", {}))
    ledger.sign_off_worker(database, "gone")
    kinds = {kind.signature: kind for kind in ledger.worker_kinds(database, 60)}
    assert kinds["a"].accelerated is False
    assert kinds["b"] == WorkerKind("b", 2, accelerated=True)
    assert kinds["c"] == WorkerKind("c", 1, accelerated=True)
    assert "d" not in kinds
    assert sorted(kinds) == list(kinds)


def test_a_worker_is_of_no_kind_until_it_knows_what_it_computes_with(database: Database) -> None:
    ledger.register_worker(database, WorkerIdentity("w", "host", 1, "auto", "", {"reelwright": "1"}))
    assert ledger.worker_kinds(database, 60) == ()
    assert sum(ledger.slots(database, 60).values()) == 1
    ledger.equip_worker(database, "w", "cpu", "a", {"reelwright": "1", "torch": "2+cpu"})
    assert ledger.worker_kinds(database, 60) == (WorkerKind("a", 1, accelerated=False),)
    (row,) = progress.workers(database)
    assert (row.device, row.signature, row.release) == ("cpu", "a", "1")
