"""A task is taken, held and let go: workers, leases, heartbeats, assignments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from db.errors import LeaseLost
from db.ledger.counting import move_items
from db.ledger.maintenance import add_sweep
from db.recipe import Recipe
from db.records import Assignment, Blob, Part, ReelFacts, Source, Substitute, TaskResult
from db.records import ItemView as ItemRecord
from db.session import Database
from db.states import TASK_LIVE, ItemState, JobState, Outcome, TaskKind, TaskState
from db.store.keys import attempt_prefix
from db.tables import Attempt, Item, Job, Task, Worker

CHUNK = 500
"""Values that one statement names; SQLite takes at most 32,766."""


@dataclass(frozen=True)
class WorkerIdentity:
    """What a worker process says of itself when it starts."""

    boot_id: str
    host: str
    pid: int
    device: str
    signature: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Lease:
    """A time-limited right to a task. ``attempt`` and ``boot_id`` are the fence of every later write."""

    task_id: int
    attempt: int
    boot_id: str


@dataclass(frozen=True)
class Renewal:
    """What a heartbeat learned."""

    held: bool
    """False: another attempt has the task, or nobody; nothing may be written any more."""
    stop: bool
    """True: the job was paused or cancelled; stop at the next frame boundary."""


def register_worker(db: Database, card: WorkerIdentity) -> None:
    """Write down that a worker process lives."""
    with db.write() as connection:
        connection.execute(
            insert(Worker).values(
                boot_id=card.boot_id,
                host=card.host[:200],
                pid=card.pid,
                device=card.device[:100],
                signature=card.signature,
                versions_json=json.dumps(card.versions),
                state="live",
                started_at=db.now,
                heartbeat_at=db.now,
            )
        )


def sign_off_worker(db: Database, boot_id: str) -> None:
    """Write down that a worker process ends in order."""
    with db.write() as connection:
        connection.execute(update(Worker).where(Worker.boot_id == boot_id).values(state="left"))


def lease(db: Database, task_id: int, epoch: int, boot_id: str, signature: str, lease_seconds: float) -> Lease | None:
    """Take a queued task for ``lease_seconds``.

    Returns none, and changes nothing, when the message is stale, duplicated or forged, when the job was paused or
    cancelled since, or when the task is bound to another compute signature: the message is then simply dropped.
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
    """Say that a worker lives and, when it holds a lease, renew it. Returns none when it holds none."""
    with db.write() as connection:
        connection.execute(update(Worker).where(Worker.boot_id == boot_id).values(heartbeat_at=db.now, state="live"))
        if current_lease is None:
            return None
        row = connection.execute(
            update(Task)
            .where(fence(current_lease))
            .values(lease_until=db.now + lease_seconds, frames_done=frames_done)
            .returning(Task.job_id, Task.job_epoch)
        ).first()
        if row is None:
            return Renewal(held=False, stop=True)
        job = connection.execute(select(Job.epoch, Job.state).where(Job.id == row.job_id)).one()
        return Renewal(held=True, stop=job.epoch != row.job_epoch)


def release(db: Database, lease: Lease, *, message: str = "", pause_seconds: float = 0.0) -> None:
    """Give a task back in order (shutdown, pause, outage): it is ready again and the attempt not held against it.

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
        end_attempt(db, connection, lease, Outcome.RELEASED, message=message)


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


def read_assignment(db: Database, lease: Lease) -> Assignment:
    """Gather all that an attempt needs to know.

    Raises:
        LeaseLost: The lease is gone already.
    """
    with db.read() as connection:
        task = connection.execute(select(Task.__table__).where(fence(lease))).first()
        if task is None:
            raise LeaseLost(f"task {lease.task_id}, attempt {lease.attempt}: the lease is gone")
        job_recipe = connection.scalar(select(Job.recipe_json).where(Job.id == task.job_id)) or ""
        item: ItemRecord | None = None
        stills: tuple[ItemRecord, ...] = ()
        if task.item_id is not None:
            row = connection.execute(select(Item.__table__).where(Item.id == task.item_id)).one()
            item = item_record(row, job_recipe)
        else:
            rows = connection.execute(
                select(Item.__table__)
                .where(Item.task_id == task.id, Item.state == ItemState.RUNNING)
                .order_by(Item.seq)
            )
            stills = tuple(item_record(row, job_recipe) for row in rows)
        return Assignment(
            task_id=task.id,
            attempt=task.attempt,
            kind=TaskKind(task.kind),
            job_id=task.job_id,
            item=item,
            stills=stills,
            start_frame=task.start_frame,
            stop_frame=task.stop_frame,
            parts=_parts(connection, task),
            isolate=task.isolate,
            key_prefix=prefix_of(task),
        )


def prefix_of(task: Row[Any]) -> str:
    """The key prefix of the task's present attempt."""
    frames = (task.start_frame, task.stop_frame) if task.stop_frame else None
    return attempt_prefix(task.job_id, task.item_id, task.generation, task.kind, frames, attempt_name(task))


def attempt_name(task: Row[Any]) -> str:
    """The last part of an attempt's key prefixes."""
    return f"t{task.id}-a{task.attempt}-{task.worker}"


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


def item_record(row: Row[Any], job_recipe_json: str) -> ItemRecord:
    """Read an item's row as the record that workers see."""
    return ItemRecord(
        id=row.id,
        external_id=row.external_id,
        source=Source.model_validate_json(row.source_json),
        recipe=Recipe.model_validate_json(row.recipe_json or job_recipe_json),
        generation=row.generation,
        facts=ReelFacts.model_validate_json(row.facts_json) if row.facts_json else None,
        profile=Blob.model_validate_json(row.profile_json) if row.profile_json else None,
        substitutes=tuple(Substitute.model_validate(entry) for entry in json.loads(row.substitutes_json)),
        batch_frames=row.batch_frames or 1,
    )


def _parts(connection: Connection, task: Row[Any]) -> tuple[Part, ...]:
    part_kind = {TaskKind.MERGE: TaskKind.INSPECT, TaskKind.ASSEMBLE: TaskKind.RESTORE}.get(TaskKind(task.kind))
    if part_kind is None:
        return ()
    rows = connection.execute(
        select(Task.start_frame, Task.stop_frame, Task.result_json)
        .where(
            Task.item_id == task.item_id,
            Task.generation == task.generation,
            Task.kind == part_kind,
            Task.state == TaskState.DONE,
            Task.dropped.is_(False),
        )
        .order_by(Task.start_frame)
    )
    return tuple(
        Part(start_frame=row.start_frame, stop_frame=row.stop_frame,
             outputs=TaskResult.model_validate_json(row.result_json).outputs)
        for row in rows
    )  # fmt: skip


def slots(db: Database, lease_seconds: float) -> dict[str, int]:
    """Count live workers by compute signature."""
    with db.read() as connection:
        return live_slots(db, connection, lease_seconds)


def live_slots(db: Database, connection: Connection, lease_seconds: float) -> dict[str, int]:
    """Count live workers by compute signature, inside a transaction."""
    rows = connection.execute(
        select(Worker.signature, func.count())
        .where(Worker.state == "live", Worker.heartbeat_at > db.now - lease_seconds)
        .group_by(Worker.signature)
    )
    return dict(rows.all())
