"""Which kinds of workers live, on both databases."""

from __future__ import annotations

from db import ledger
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
