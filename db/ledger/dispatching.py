"""Which tasks get a doorbell next. The loop's leader alone calls this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select, update

from db.doorbells import TASK_NAME
from db.ledger.job_states import lock_job, move_job
from db.ledger.sharing import full_tenants, held_tasks, take_turns
from db.ledger.worker_registry import live_slots
from db.queues import FINISH, LIGHT, RESTORE, restore_queue
from db.session import Database
from db.settings import TenantShare
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


def dispatch(
    db: Database, lease_seconds: float, shares: Mapping[str, TenantShare] = MappingProxyType({})
) -> list[Doorbell]:
    """Move ready tasks to queued as far as live workers have room: tenants in turn, of each by job priority, then age.

    The caller sends the returned doorbells after this has committed; one that gets lost is rung again by
    :func:`ring_again`. ``shares``: what tenants may have, by name.
    """
    with db.write() as connection:
        slots = live_slots(db, connection, lease_seconds)
        if not slots:
            return []
        room = _room(connection, slots)
        if not any(free > 0 for free in room.values()):
            return []
        full, held = full_tenants(connection, shares), held_tasks(connection)
        jobs = [job for job in _ready_jobs(connection) if job.tenant not in full]
        bells: list[Doorbell] = []
        for queue, free in room.items():
            if free > 0:
                offers = _offers(db, connection, jobs, queue, free)
                chosen = take_turns(offers, held, shares, free)
                held += Counter(offer.job.tenant for offer in chosen)
                bells += _ring(db, connection, chosen, queue)
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


class _Offer(NamedTuple):
    """A task that can be done."""

    task_id: int
    job: Row[Any]


def _ready_jobs(connection: Connection) -> Sequence[Any]:
    """Return the jobs that have something to do, in the order in which each tenant's come."""
    # Ordered and limited, so that the partial index is walked, whatever the tables' statistics say.
    ready = select(Task.id).where(Task.job_id == Job.id, Task.state == TaskState.READY)
    ready = ready.order_by(Task.queue).limit(1)
    # Locked, or a pause that comes in between would be overwritten, and its tasks queued under a void epoch.
    return connection.execute(
        select(Job.id, Job.tenant, Job.epoch, Job.state)
        .where(Job.state.in_((JobState.READY, JobState.RUNNING)), ready.scalar_subquery().is_not(None))
        .order_by(Job.priority.desc(), Job.id)
        .with_for_update(key_share=True)
    ).all()


def _offers(
    db: Database, connection: Connection, jobs: Sequence[Row[Any]], queue: str, most: int
) -> dict[str, list[_Offer]]:
    """Return the first tasks of each tenant in a queue, no more than ``most``."""
    offers: dict[str, list[_Offer]] = {}
    for job in jobs:
        its = offers.setdefault(job.tenant, [])
        if len(its) < most:
            ready = (
                select(Task.id)
                .where(
                    Task.job_id == job.id, Task.queue == queue, Task.state == TaskState.READY,
                    Task.not_before <= db.now,
                )
                .order_by(Task.id)
                .limit(most - len(its))
            )  # fmt: skip
            its += [_Offer(task_id, job) for task_id in connection.scalars(ready)]
    return offers


def _ring(db: Database, connection: Connection, chosen: Sequence[_Offer], queue: str) -> list[Doorbell]:
    bells: dict[int, Doorbell] = {}
    for job in dict.fromkeys(offer.job for offer in chosen):
        rows = connection.execute(
            update(Task)
            .where(
                Task.id.in_([offer.task_id for offer in chosen if offer.job.id == job.id]),
                Task.state == TaskState.READY,
            )
            .values(
                state=TaskState.QUEUED, dispatch_epoch=Task.dispatch_epoch + 1, job_epoch=job.epoch, queued_at=db.now
            )
            .returning(Task.id, Task.dispatch_epoch)
        ).all()
        bells |= {task_id: Doorbell(task_id, epoch, queue) for task_id, epoch in rows}
        if rows and job.state == JobState.READY:
            _begin(db, connection, job.id)
    return [bells[offer.task_id] for offer in chosen if offer.task_id in bells]


def _begin(db: Database, connection: Connection, job_id: int) -> None:
    if lock_job(connection, job_id) is JobState.READY:  # another of its queues may have been quicker
        move_job(db, connection, job_id, JobState.RUNNING)
