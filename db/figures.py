"""Sums over a whole installation, for those who watch it. Only reads; what it costs grows with what is in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from db.ledger.sharing import held_tasks, share_of, stored_bytes
from db.selection import lives
from db.session import Database
from db.settings import TenantShare
from db.states import JOB_OVER, TaskState
from db.tables import COUNTERS, Attempt, CounterDelta, Delivery, Item, Job, JobProgress, Task, Worker

LIVE = (TaskState.WAITING, TaskState.READY, TaskState.QUEUED, TaskState.RUNNING)
RECENT_ATTEMPTS = 10_000
"""How many of the newest attempts are looked at: all of them would be read each time."""


@dataclass(frozen=True)
class TenantSum:
    """What one tenant has of an installation."""

    tenant: str
    open_jobs: int
    held_tasks: int
    """Tasks that workers have, or are told of."""
    stored_bytes: int
    """Outputs in the store, of all generations that are kept."""
    share: TenantShare

    @property
    def is_full(self) -> bool:
        """Whether nothing more is begun for it."""
        most = self.share.most_stored_bytes
        return most is not None and self.stored_bytes >= most


@dataclass(frozen=True)
class InstallationSums:
    """What an installation is at."""

    jobs: Mapping[str, int]
    """By state."""
    counters: Mapping[str, int]
    """Of all jobs together: the names of :data:`db.tables.COUNTERS`."""
    tasks: Mapping[tuple[str, str], int]
    """Live ones by queue and state."""
    oldest_ready_seconds: float
    """How long the oldest task that could be done waits for a worker to take it from its queue; 0 where none does."""
    workers: Mapping[tuple[str, str], int]
    """Live ones by device and compute signature."""
    recent_attempts: Mapping[str, int]
    """Of the newest, by outcome; empty is one that goes on."""
    failures: Mapping[str, int]
    """Items by error code."""
    deliveries: Mapping[str, int]
    """By state."""


def figures(db: Database, lease_seconds: float) -> InstallationSums:
    """Return the sums as they are now; workers count as live for a lease after their last beat."""
    with db.read() as connection:
        counts = _Counts(connection)
        oldest = connection.scalar(select(db.now - func.min(Task.queued_at)).where(Task.state == TaskState.QUEUED))
        newest = select(Attempt.outcome).order_by(Attempt.id.desc()).limit(RECENT_ATTEMPTS).subquery()
        return InstallationSums(
            jobs=counts.by(Job.state),
            counters=_counters(connection),
            tasks=counts.live_tasks(),
            oldest_ready_seconds=max(0.0, float(oldest or 0)),
            workers=counts.by_two(Worker.device, Worker.signature, lives(db.now, lease_seconds)),
            recent_attempts=counts.by(newest.c.outcome),
            failures=counts.by(Item.error_code, Item.error_code.is_not(None)),
            deliveries=counts.by(Delivery.state),
        )


class _Counts:
    """Counts rows by what stands in columns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def by(
        self, column: ColumnElement[Any] | InstrumentedAttribute[Any], *conditions: ColumnElement[bool]
    ) -> dict[str, int]:
        """By one column; none is empty."""
        rows = self._connection.execute(select(column, func.count()).where(*conditions).group_by(column))
        return {str(value or ""): int(count) for value, count in rows}

    def by_two(
        self, first: InstrumentedAttribute[str], second: InstrumentedAttribute[str], *conditions: ColumnElement[bool]
    ) -> dict[tuple[str, str], int]:
        """By two columns."""
        wanted = select(first, second, func.count()).where(*conditions).group_by(first, second)
        return {(str(one), str(two)): int(count) for one, two, count in self._connection.execute(wanted)}

    def live_tasks(self) -> dict[tuple[str, str], int]:
        """By queue and state. One state after the other: each has an index, and all together have none."""
        states = (self.by_two(Task.queue, Task.state, Task.state == state) for state in LIVE)
        return {names: count for counted in states for names, count in counted.items()}


def _counters(connection: Connection) -> dict[str, int]:
    """Return the counters of all jobs, with what is not folded into them yet."""
    sums: dict[str, int] = {}
    for table in (JobProgress, CounterDelta):
        columns = [func.coalesce(func.sum(getattr(table, name)), 0).label(name) for name in COUNTERS]
        row = connection.execute(select(*columns)).one()
        for name in COUNTERS:
            sums[name] = sums.get(name, 0) + int(getattr(row, name))
    return sums


def tenant_sums(db: Database, shares: Mapping[str, TenantShare]) -> tuple[TenantSum, ...]:
    """Return what each tenant that ever had a job has, by name."""
    with db.read() as connection:
        is_open = func.sum(case((Job.state.not_in(JOB_OVER), 1), else_=0))
        jobs = connection.execute(select(Job.tenant, is_open).group_by(Job.tenant).order_by(Job.tenant)).all()
        held, stored = held_tasks(connection), stored_bytes(connection)
    return tuple(
        TenantSum(tenant, count, held[tenant], stored.get(tenant, 0), share_of(tenant, shares))
        for tenant, count in jobs
    )
