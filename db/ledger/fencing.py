"""The fence of a lease, and the locks: what every sibling that writes to tasks imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update

from db.errors import LeaseLost
from db.ledger.maintenance import add_sweep
from db.session import Database
from db.states import TASK_LIVE, ItemState, Outcome, TaskState
from db.store.keys import attempt_prefix
from db.tables import Attempt, Item, Task

CHUNK = 500
"""Values that one statement names; SQLite takes at most 32,766."""


@dataclass(frozen=True)
class Lease:
    """A time-limited right to a task. ``attempt`` and ``boot_id`` are the fence of every later write."""

    task_id: int
    attempt: int
    boot_id: str


def fence(lease: Lease) -> Any:
    """The condition that every write under a lease carries."""
    return and_(
        Task.id == lease.task_id,
        Task.state == TaskState.RUNNING,
        Task.attempt == lease.attempt,
        Task.worker == lease.boot_id,
    )


def lock_lease_task(connection: Connection, lease: Lease) -> Row[Any]:
    """Lock and return the task behind a lease.

    Raises:
        LeaseLost: Another attempt has it, or nobody.
    """
    row = connection.execute(select(Task.__table__).where(fence(lease)).with_for_update()).first()
    if row is None:
        raise LeaseLost(f"task {lease.task_id}, attempt {lease.attempt}: the lease is gone")
    return row


def lock_lease_reel(connection: Connection, lease: Lease) -> Row[Any]:
    """Lock every live task of the lease's reel, then as :func:`lock_lease_task`: for what changes several tasks."""
    item_id = select(Task.item_id).where(Task.id == lease.task_id).scalar_subquery()
    lock_tasks(connection, Task.item_id == item_id)
    return lock_lease_task(connection, lease)


def lock_tasks(connection: Connection, *which: ColumnElement[bool]) -> None:
    """Lock live tasks in the order of their ids, before anything else that the transaction locks but a job.

    Jobs, tasks, items: with one order for everybody, no two transactions wait for each other.
    """
    rows = select(Task.id).where(Task.state.in_(TASK_LIVE), *which).order_by(Task.id).with_for_update().subquery()
    connection.execute(select(func.count()).select_from(rows))


def cancel_tasks(db: Database, connection: Connection, *which: ColumnElement[bool]) -> None:
    """Cancel every live task that fits; attempts at them end as refused, whatever they still bring."""
    lock_tasks(connection, *which)
    rows = connection.execute(
        update(Task)
        .where(Task.state.in_(TASK_LIVE), *which)
        .values(state=TaskState.CANCELLED, lease_until=None)
        .returning(Task.id, Task.attempt)
    ).all()
    open_attempts = [row.id for row in rows if row.attempt]
    for first in range(0, len(open_attempts), CHUNK):
        connection.execute(
            update(Attempt)
            .where(Attempt.task_id.in_(open_attempts[first : first + CHUNK]), Attempt.outcome.is_(None))
            .values(ended_at=db.now, outcome=Outcome.REFUSED)
        )


def end_attempt(
    db: Database,
    connection: Connection,
    lease: Lease,
    outcome: Outcome,
    *,
    code: str | None = None,
    message: str | None = None,
) -> None:
    """Write down how an attempt ended, once."""
    connection.execute(
        update(Attempt)
        .where(Attempt.task_id == lease.task_id, Attempt.attempt == lease.attempt, Attempt.outcome.is_(None))
        .values(ended_at=db.now, outcome=outcome, error_code=code, error_message=(message or "")[:2000] or None)
    )


def sweep_attempt(db: Database, connection: Connection, task: Row[Any]) -> None:
    """Note that the blobs of the task's present attempt may go: of a bundle, those of stills that are still open."""
    if task.item_id is not None:
        add_sweep(db, connection, prefix_of(task))
        return
    name = attempt_name(task)
    for item in connection.execute(
        select(Item.id, Item.generation).where(Item.task_id == task.id, Item.state == ItemState.RUNNING)
    ).all():
        add_sweep(db, connection, attempt_prefix(task.job_id, item.id, item.generation, task.kind, None, name))


def prefix_of(task: Row[Any]) -> str:
    """The key prefix of the task's present attempt."""
    frames = (task.start_frame, task.stop_frame) if task.stop_frame else None
    return attempt_prefix(task.job_id, task.item_id, task.generation, task.kind, frames, attempt_name(task))


def attempt_name(task: Row[Any]) -> str:
    """The last part of an attempt's key prefixes."""
    return f"t{task.id}-a{task.attempt}-{task.worker}"
