"""Which tasks get a doorbell next. The loop's leader alone calls this."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from db.doorbells import TASK_NAME
from db.ledger.job_states import move_job
from db.ledger.worker_registry import live_slots
from db.queues import FINISH, LIGHT, RESTORE, restore_queue
from db.session import Database
from db.states import JobState, TaskState
from db.tables import Job, Task

OUTSTANDING_PER_SLOT = 2
"""Queued tasks for each live worker: enough that none waits, few enough that the broker stays short."""


@dataclass(frozen=True)
class Doorbell:
    """A message to send."""

    task_id: int
    """Or a look's number, by ``name``."""
    epoch: int
    queue: str
    name: str = TASK_NAME


def dispatch(db: Database, lease_seconds: float) -> list[Doorbell]:
    """Move ready tasks to queued, by job priority, then age, as far as live workers have room.

    The caller sends the returned doorbells after this has committed; one that gets lost is rung again by
    :func:`ring_again`.
    """
    with db.write() as connection:
        slots = live_slots(db, connection, lease_seconds)
        if not slots:
            return []
        room = _room(connection, slots)
        if not any(free > 0 for free in room.values()):
            return []
        # Ordered and limited, so that the partial index is walked, whatever the tables' statistics say.
        ready = select(Task.id).where(Task.job_id == Job.id, Task.state == TaskState.READY)
        ready = ready.order_by(Task.queue).limit(1)
        # Locked, or a pause that comes in between would be overwritten, and its tasks queued under a void epoch.
        jobs = connection.execute(
            select(Job.id, Job.epoch, Job.state)
            .where(Job.state.in_((JobState.READY, JobState.RUNNING)), ready.scalar_subquery().is_not(None))
            .order_by(Job.priority.desc(), Job.id)
            .with_for_update(key_share=True)
        ).all()
        # Fairness between tenants has its place here: jobs of one priority would take turns by tenant.
        bells: list[Doorbell] = []
        for job in jobs:
            if not any(free > 0 for free in room.values()):
                break
            rung = _dispatch_job(db, connection, job.id, job.epoch, room)
            if rung and job.state == JobState.READY:
                move_job(db, connection, job.id, JobState.RUNNING)
            bells += rung
        return bells


def ring_again(db: Database, requeue_seconds: float, lease_seconds: float) -> list[Doorbell]:
    """Ring again for tasks that stay queued although a worker that may take them is idle.

    The raised epoch makes the first message stale, should it turn up after all.
    """
    with db.write() as connection:
        slots = live_slots(db, connection, lease_seconds)
        running = dict(
            connection.execute(
                select(Task.queue, func.count()).where(Task.state == TaskState.RUNNING).group_by(Task.queue)
            ).all()
        )
        # Where every worker is busy a queued task waits in order. Workers take from several queues, so count them all.
        if sum(running.values()) >= sum(slots.values()):
            return []
        silent = (
            select(Task.id)
            .where(Task.state == TaskState.QUEUED, Task.queued_at < db.now - requeue_seconds)
            .with_for_update(skip_locked=True)  # whoever holds it is answering
        )
        rows = connection.execute(
            update(Task)
            .where(Task.id.in_(silent), Task.state == TaskState.QUEUED)
            .values(dispatch_epoch=Task.dispatch_epoch + 1, queued_at=db.now)
            .returning(Task.id, Task.dispatch_epoch, Task.queue)
        )
        return [Doorbell(task_id, epoch, queue) for task_id, epoch, queue in rows]


def _room(connection: Connection, slots: dict[str, int]) -> dict[str, int]:
    capacity = dict.fromkeys((FINISH, RESTORE, LIGHT), sum(slots.values()))
    capacity |= {restore_queue(signature): count for signature, count in slots.items()}
    queue_lengths = dict(
        connection.execute(
            select(Task.queue, func.count()).where(Task.state == TaskState.QUEUED).group_by(Task.queue)
        ).all()
    )
    return {queue: OUTSTANDING_PER_SLOT * count - queue_lengths.get(queue, 0) for queue, count in capacity.items()}


def _dispatch_job(
    db: Database, connection: Connection, job_id: int, job_epoch: int, room: dict[str, int]
) -> list[Doorbell]:
    bells: list[Doorbell] = []
    for queue, free in room.items():
        if free <= 0:
            continue
        task_ids = (
            select(Task.id)
            .where(Task.job_id == job_id, Task.queue == queue, Task.state == TaskState.READY, Task.not_before <= db.now)
            .order_by(Task.id)
            .limit(free)
        )
        rows = connection.execute(
            update(Task)
            .where(Task.id.in_(task_ids), Task.state == TaskState.READY)
            .values(
                state=TaskState.QUEUED, dispatch_epoch=Task.dispatch_epoch + 1, job_epoch=job_epoch, queued_at=db.now
            )
            .returning(Task.id, Task.dispatch_epoch)
        ).all()
        room[queue] -= len(rows)
        bells += [Doorbell(task_id, epoch, queue) for task_id, epoch in sorted(rows)]
    return bells
