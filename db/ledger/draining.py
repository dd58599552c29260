"""A worker that fails at what others finish is given nothing more: its machine is at fault, and not the work."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select, update

from db.ledger.auditing import note
from db.session import Database
from db.states import Outcome, WorkerState
from db.tables import Attempt, Worker

FAILURES_IN_A_ROW = 5
"""Ends of attempts of one worker, none of which came to anything."""
FINISHED_BY_OTHERS = 3
"""So many of those tasks another worker finished."""
RECENT_ATTEMPTS = 1000
"""How many of the newest attempts are looked at."""
_VAIN = frozenset({Outcome.RETRY, Outcome.LOST, Outcome.FAILED})


@dataclass(frozen=True)
class DrainedWorker:
    """A worker that is given nothing more."""

    boot_id: str
    host: str
    device: str
    code: str
    """Of its last failure; empty where it said nothing."""
    message: str


def drain_failing(db: Database) -> tuple[DrainedWorker, ...]:
    """Give nothing more to live workers whose last attempts all failed while others finished the same tasks."""
    with db.read() as connection:
        newest = select(Attempt.__table__).where(Attempt.outcome.is_not(None), Attempt.outcome != Outcome.RELEASED)
        rows = connection.execute(newest.order_by(Attempt.id.desc()).limit(RECENT_ATTEMPTS)).all()
        live = {
            row.boot_id: row
            for row in connection.execute(select(Worker.__table__).where(Worker.state == WorkerState.LIVE))
        }
    finishers: defaultdict[int, set[str]] = defaultdict(set)
    latest: defaultdict[str, list[tuple[int, str, str | None, str | None]]] = defaultdict(list)
    for row in rows:
        if row.outcome == Outcome.DONE:
            finishers[row.task_id].add(row.worker)
        if len(latest[row.worker]) < FAILURES_IN_A_ROW:
            latest[row.worker].append((row.task_id, row.outcome, row.error_code, row.error_message))
    drained = []
    for boot_id in sorted(set(live) & set(latest)):
        failures = latest[boot_id]
        by_others = {task_id for task_id, *_ in failures if finishers[task_id] - {boot_id}}
        in_vain = len(failures) == FAILURES_IN_A_ROW and all(outcome in _VAIN for _, outcome, *_ in failures)
        if in_vain and len(by_others) >= FINISHED_BY_OTHERS:
            _, _, code, message = failures[0]
            worker = DrainedWorker(boot_id, live[boot_id].host, live[boot_id].device, code or "", message or "")
            _drain(db, worker)
            drained.append(worker)
    return tuple(drained)


def _drain(db: Database, worker: DrainedWorker) -> None:
    told = {"device": worker.device, "code": worker.code, "message": worker.message[:500]}
    with db.write() as connection:
        connection.execute(
            update(Worker)
            .where(Worker.boot_id == worker.boot_id, Worker.state == WorkerState.LIVE)
            .values(state=WorkerState.DRAINED)
        )
        note(db, "orchestrator", "drain", f"worker {worker.boot_id} on {worker.host}", told, within=connection)


def is_drained(db: Database, boot_id: str) -> bool:
    """Whether a worker is given nothing more."""
    with db.read() as connection:
        return connection.scalar(select(Worker.state).where(Worker.boot_id == boot_id)) == WorkerState.DRAINED
