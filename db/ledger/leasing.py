"""A task is taken, held and let go."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, insert, or_, select, update

from db.ledger.counting import move_items
from db.ledger.fencing import Lease, end_attempt, fence, lock_lease_task, sweep_attempt
from db.session import Database
from db.states import ItemState, JobState, Outcome, TaskState, WorkerState
from db.tables import Attempt, Item, Job, Task, Worker


@dataclass(frozen=True)
class Renewal:
    """What a heartbeat learned."""

    held: bool
    """False: another attempt has the task, or nobody; nothing may be written any more."""
    stop: bool
    """True: the job was paused or cancelled; stop at the next frame boundary."""
    drained: bool = False
    """True: this worker is given nothing more, and should end."""


def lease(db: Database, task_id: int, epoch: int, boot_id: str, signature: str, lease_seconds: float) -> Lease | None:
    """Take a queued task for ``lease_seconds``.

    Returns none, and changes nothing, when the message is stale, duplicated or forged, when the job was paused or
    cancelled since, when the task is bound to another compute signature, or when the worker was drained: the message is
    then simply dropped.
    """
    job_epoch = select(Job.epoch).where(Job.id == Task.job_id, Job.state == JobState.RUNNING).scalar_subquery()
    statement = (
        update(Task)
        .where(
            Task.id == task_id,
            Task.state == TaskState.QUEUED,
            Task.dispatch_epoch == epoch,
            Task.job_epoch == job_epoch,
            or_(Task.signature.is_(None), Task.signature == signature),
            ~select(Worker.boot_id).where(Worker.boot_id == boot_id, Worker.state == WorkerState.DRAINED).exists(),
        )
        .values(
            state=TaskState.RUNNING,
            attempt=Task.attempt + 1,
            worker=boot_id,
            lease_until=db.now + lease_seconds,
            lost_count=Task.lost_count + 1,
            frames_done=0,
        )
        .returning(Task.attempt, Task.job_id, Task.item_id)
    )
    with db.write() as connection:
        row = connection.execute(statement).first()
        if row is None:
            return None
        connection.execute(
            insert(Attempt).values(task_id=task_id, attempt=row.attempt, worker=boot_id, started_at=db.now)
        )
        pending_items = connection.execute(
            update(Item)
            .where(Item.id == row.item_id if row.item_id else Item.task_id == task_id, Item.state == ItemState.PENDING)
            .values(state=ItemState.RUNNING)
        )
        if pending_items.rowcount:
            move_items(connection, row.job_id, ItemState.PENDING, ItemState.RUNNING, pending_items.rowcount)
        return Lease(task_id, row.attempt, boot_id)


def heartbeat(
    db: Database, boot_id: str, current_lease: Lease | None, frames_done: int, lease_seconds: float
) -> Renewal | None:
    """Say that a worker lives and, when it holds a lease, renew it. Returns none when it holds none and may go on."""
    with db.write() as connection:
        state = case((Worker.state == WorkerState.DRAINED, Worker.state), else_=WorkerState.LIVE)
        beat = update(Worker).where(Worker.boot_id == boot_id).values(heartbeat_at=db.now, state=state)
        drained = connection.scalar(beat.returning(Worker.state)) == WorkerState.DRAINED
        if current_lease is None:
            return Renewal(held=False, stop=True, drained=True) if drained else None
        row = connection.execute(
            update(Task)
            .where(fence(current_lease))
            .values(lease_until=db.now + lease_seconds, frames_done=frames_done)
            .returning(Task.job_id, Task.job_epoch)
        ).first()
        if row is None:
            return Renewal(held=False, stop=True, drained=drained)
        job = connection.execute(select(Job.epoch, Job.state).where(Job.id == row.job_id)).one()
        return Renewal(held=True, stop=job.epoch != row.job_epoch, drained=drained)


def release(
    db: Database, lease: Lease, *, code: str | None = None, message: str = "", pause_seconds: float = 0.0
) -> None:
    """Give a task back in order (shutdown, pause, outage): it is ready again and the attempt not held against it.

    ``code`` is of the outage, and tells people what is waited for.

    Raises:
        LeaseLost: The fence refuses; there is nothing to give back.
    """
    with db.write() as connection:
        task = lock_lease_task(connection, lease)
        sweep_attempt(db, connection, task)
        connection.execute(
            update(Task)
            .where(Task.id == task.id)
            .values(
                state=TaskState.READY,
                worker=None,
                lease_until=None,
                not_before=db.now + pause_seconds,
                frames_done=0,
                lost_count=Task.lost_count - 1,
            )
        )
        end_attempt(db, connection, lease, Outcome.RELEASED, code=code, message=message)
