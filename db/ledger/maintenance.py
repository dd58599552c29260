"""What the leader does between dispatches: terms, folded counters, finished jobs, blobs to sweep, wrong clocks.

All times are the database's own, so nobody's clock but its can be wrong. When that was ahead and is set right, what was
written meanwhile lies in the future: :func:`disbelieve_future` says how much of it is believed.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, delete, func, insert, or_, select, true, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from db.ledger.job_states import lock_job, move_job
from db.ledger.webhooks import PAUSES_SECONDS
from db.session import Database
from db.states import ITEM_LIVE, DeliveryState, ItemState, JobState, TaskState, WorkerState
from db.tables import COUNTERS, Base, CounterDelta, Delivery, Item, Job, JobProgress, Leader, Look, Sweep, Task, Worker

SWEEP_AFTER_SECONDS = 120.0
"""How long blobs that nobody points to are kept: longer than any late writer lives."""
FOLD_AT_ONCE = 10_000
"""Deltas that one transaction folds."""
RATE_MEMORY_SECONDS = 30.0
"""Time over which the frame rate is smoothed."""
_UNDER_WAY = (JobState.READY, JobState.RUNNING)


def lead(db: Database, holder: str, term_seconds: float, *, alone: bool = False) -> bool:
    """Take or renew the leader's term; returns whether ``holder`` leads now.

    A term that ends later than any that begins now was written by a clock that was ahead, and is taken; so is any when
    ``alone``, as who holds the home's lock is.
    """
    free = or_(Leader.holder == holder, Leader.until < db.now, Leader.until > db.now + term_seconds)
    try:
        with db.write() as connection:
            renewal = connection.execute(
                update(Leader)
                .where(Leader.name == "loop", true() if alone else free)
                .values(holder=holder, term=Leader.term + 1, until=db.now + term_seconds)
            )
            if renewal.rowcount:
                return True
            if connection.scalar(select(Leader.name).where(Leader.name == "loop")) is not None:
                return False
            connection.execute(insert(Leader).values(name="loop", holder=holder, term=1, until=db.now + term_seconds))
            return True
    except IntegrityError:  # another, just as new, was quicker to write the first term
        return False


def resign(db: Database, holder: str) -> None:
    """End the leader's term early, so that a standby takes over at once."""
    with db.write() as connection:
        connection.execute(update(Leader).where(Leader.name == "loop", Leader.holder == holder).values(until=0.0))


def clock(db: Database) -> float:
    """Return the database's clock, in seconds since 1970."""
    with db.read() as connection:
        return float(connection.execute(select(db.now)).scalar_one())


def disbelieve_future(db: Database, lease_seconds: float, pause_seconds: float) -> int:
    """Pull every time back that is later than it can honestly have been written; returns how many were.

    Who lives renews its lease and its heartbeat within the period that is left; what died is taken back after it.

    Args:
        db: The database, whose clock went back.
        lease_seconds: Length of a lease.
        pause_seconds: Longest pause before a task is tried again.
    """
    bounds: tuple[tuple[type[Base], InstrumentedAttribute[Any], float, ColumnElement[bool]], ...] = (
        (Task, Task.lease_until, lease_seconds, Task.state == TaskState.RUNNING),
        (Task, Task.not_before, pause_seconds, Task.state == TaskState.READY),
        (Task, Task.queued_at, 0.0, Task.state == TaskState.QUEUED),
        (Item, Item.plan_due_at, 0.0, Item.plan_due_at.is_not(None)),
        (Worker, Worker.heartbeat_at, 0.0, Worker.state == WorkerState.LIVE),
        (JobProgress, JobProgress.rated_at, 0.0, true()),
        (Delivery, Delivery.next_at, PAUSES_SECONDS[-1], Delivery.state == DeliveryState.PENDING),
        (Sweep, Sweep.due_at, SWEEP_AFTER_SECONDS, true()),
        (Look, Look.asked_at, 0.0, true()),
    )
    count = 0
    for table, column, seconds, which in bounds:
        key = next(iter(table.__table__.primary_key))
        with db.write() as connection:
            # A second, so that what is written while this is asked is left alone; whoever holds a row writes it anew.
            late = select(key).where(which, column > db.now + seconds + 1.0).with_for_update(skip_locked=True)
            changed = update(table).where(key.in_(late)).values({column.key: db.now + seconds})
            count += connection.execute(changed).rowcount
    return count


def fold_counters(db: Database) -> int:
    """Add the deltas to the folded counters and smooth the frame rate; returns how many deltas there were."""
    with db.write() as connection:
        some = select(CounterDelta.id).limit(FOLD_AT_ONCE)
        columns = [getattr(CounterDelta, name) for name in COUNTERS]
        # Deleting and reading are one statement, so no delta is counted twice by two leaders or missed by one.
        rows = connection.execute(
            delete(CounterDelta).where(CounterDelta.id.in_(some)).returning(CounterDelta.job_id, *columns)
        ).all()
        sums: dict[int, Counter[str]] = {}
        for row in rows:
            sums.setdefault(row.job_id, Counter()).update({name: getattr(row, name) for name in COUNTERS})
        for job_id in sorted(sums):
            connection.execute(
                update(JobProgress)
                .where(JobProgress.job_id == job_id)
                .values({name: getattr(JobProgress, name) + change for name, change in sums[job_id].items()})
            )
            _update_rate(db, connection, job_id)
        return len(rows)


def _update_rate(db: Database, connection: Connection, job_id: int) -> None:
    row = connection.execute(
        select(JobProgress.__table__, db.now.label("now")).where(JobProgress.job_id == job_id)
    ).one()
    elapsed_seconds = row.now - row.rated_at
    if elapsed_seconds < 1.0:
        return
    fresh_frames = row.frames_done - row.rated_frames
    begins = row.rated_at == 0 or fresh_frames < 0 or row.frames_done == 0  # after a rest, a rerun, before the first
    if not begins and fresh_frames == 0:
        return  # time that gave no frames counts when the next ones come; behind the last ones nobody is waited for
    fresh = fresh_frames / elapsed_seconds
    # A first value is taken as it is.
    share = min(1.0, elapsed_seconds / RATE_MEMORY_SECONDS) if row.frames_per_second else 1.0
    rate = 0.0 if begins else row.frames_per_second + share * (fresh - row.frames_per_second)
    connection.execute(
        update(JobProgress)
        .where(JobProgress.job_id == job_id)
        .values(frames_per_second=rate, rated_at=row.now, rated_frames=row.frames_done)
    )


def forget_rates(db: Database) -> None:
    """Measure the frame rates of all jobs anew: nobody worked for a while, and that time is no job's."""
    with db.write() as connection:
        connection.execute(
            update(JobProgress).where(JobProgress.rated_at > 0).values(frames_per_second=0.0, rated_at=0.0)
        )


def finish_jobs(db: Database) -> int:
    """End every job whose items are all over; returns how many ended."""
    # The counters are asked first: looking for open items costs a scan of millions while a job still runs.
    nearly = JobProgress.items_pending + JobProgress.items_running <= 0
    with db.write() as connection:
        job_ids = connection.scalars(
            select(Job.id)
            .join(JobProgress, JobProgress.job_id == Job.id)
            .where(Job.state.in_(_UNDER_WAY), nearly)
            .order_by(Job.id)
        ).all()
        return sum(_finish_job(db, connection, job_id) for job_id in job_ids)


def _finish_job(db: Database, connection: Connection, job_id: int) -> bool:
    # Locked before the items are looked at: a rerun or a cancel in between would be overwritten.
    state = lock_job(connection, job_id)
    of_job = select(Item.id).where(Item.job_id == job_id).limit(1)
    if state not in _UNDER_WAY or connection.execute(of_job.where(Item.state.in_(ITEM_LIVE))).first():
        return False
    bad = connection.execute(of_job.where(Item.state != ItemState.DONE)).first()
    move_job(db, connection, job_id, JobState.DONE_WITH_FAILURES if bad else JobState.DONE, finished_at=db.now)
    return True


def over_threshold(db: Database, share: float, least_items: int) -> list[tuple[int, int, int]]:
    """Running jobs of which too many items failed, as (job, failed items, finished items), from folded counters."""
    failed = JobProgress.items_failed + JobProgress.items_quarantined
    finished = failed + JobProgress.items_done
    statement = (
        select(Job.id, failed, finished)
        .join(JobProgress, JobProgress.job_id == Job.id)
        .where(Job.state == JobState.RUNNING, Job.pause_reason == "")
        .where(finished >= least_items, failed > share * finished)
    )
    with db.read() as connection:
        return [(job_id, bad, total) for job_id, bad, total in connection.execute(statement)]


def add_sweep(db: Database, connection: Connection, prefix: str) -> None:
    """Note that nobody points to the blobs under ``prefix`` any more."""
    connection.execute(insert(Sweep).values(prefix=f"{prefix}/", due_at=db.now + SWEEP_AFTER_SECONDS))


def due_sweeps(db: Database, limit: int = 50) -> list[tuple[int, str]]:
    """Prefixes whose blobs may be removed now, as (id, prefix)."""
    statement = select(Sweep.id, Sweep.prefix).where(Sweep.due_at < db.now).order_by(Sweep.due_at).limit(limit)
    with db.read() as connection:
        return [(sweep_id, prefix) for sweep_id, prefix in connection.execute(statement)]


def forget_sweeps(db: Database, sweep_ids: list[int]) -> None:
    """Forget prefixes whose blobs are removed."""
    with db.write() as connection:
        connection.execute(delete(Sweep).where(Sweep.id.in_(sweep_ids)))


def running_tasks(db: Database) -> tuple[int, int]:
    """Count running tasks, and those of them whose lease ran out."""
    with db.read() as connection:
        row = connection.execute(
            select(func.count(), func.sum(sql_cast(Task.lease_until < db.now, Integer))).where(
                Task.state == TaskState.RUNNING
            )
        ).one()
        return row[0], row[1] or 0
