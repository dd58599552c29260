"""Work goes wrong: what failed for good, what is tried again, what is split, isolated or put in quarantine."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, update

from db.errors import CODES, LeaseLost
from db.ledger.counting import move_items
from db.ledger.fencing import (
    Lease,
    cancel_tasks,
    end_attempt,
    lock_lease_reel,
    lock_lease_task,
    lock_tasks,
    sweep_attempt,
)
from db.ledger.maintenance import add_sweep
from db.ledger.planning import drop_around, replan
from db.ledger.submission import add_bundles
from db.ledger.worker_registry import leave
from db.recipe import Recipe
from db.records import Substitute, read_column
from db.session import Database
from db.states import ItemState, Outcome, TaskKind, TaskState
from db.store.keys import item_prefix
from db.tables import Item, Job, Task

CRASHES_ALLOWED = 2
"""Leases that may end without a word before a task is split, or done in a child process that may die alone."""
CRASHES_IN_ISOLATION = 4
"""The same of a task that is done in a child process, before it is put in quarantine: machines fall, too."""


@dataclass(frozen=True)
class Failure:
    """Why an attempt or an item failed."""

    code: str
    message: str
    remedy: str


def fail_item(db: Database, lease: Lease, failure: Failure, state: ItemState = ItemState.FAILED) -> None:
    """End a reel's item, or the open stills of a bundle: the input is wrong. A reel's other tasks are cancelled.

    ``state`` is ``failed``, or ``quarantined`` where the work was seen to kill its process.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        task = lock_lease_reel(connection, lease)
        _close(db, connection, lease, TaskState(state.value), failure)
        _end_items(db, connection, task, state, failure)


def fail_reel(db: Database, item_id: int, failure: Failure) -> None:
    """End a reel whose next tasks cannot be planned, whatever of it is still to be done."""
    with db.write() as connection:
        lock_tasks(connection, Task.item_id == item_id)
        _end_item(db, connection, item_id, ItemState.FAILED, failure)


def fail_still(db: Database, lease: Lease, item_id: int, failure: Failure, state: ItemState = ItemState.FAILED) -> None:
    """End one still of a bundle as :func:`fail_item` does; the bundle goes on.

    Raises:
        LeaseLost: The fence refuses, or the still no longer travels in this bundle.
    """
    with db.write() as connection:
        task = lock_lease_task(connection, lease)
        bundle_id = connection.scalar(select(Item.task_id).where(Item.id == item_id))
        if bundle_id != task.id:
            raise LeaseLost(f"item {item_id} does not travel in task {task.id}")
        _end_item(db, connection, item_id, state, failure)


def retry(db: Database, lease: Lease, failure: Failure, *, max_attempts: int, backoff_seconds: float) -> None:
    """Try a task again after a pause that doubles and varies by half; after ``max_attempts`` failures it fails.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        task = lock_lease_reel(connection, lease)
        sweep_attempt(db, connection, task)
        if task.failure_count + 1 >= max_attempts:
            _close(db, connection, lease, TaskState.FAILED, failure)
            message = f"Failed {max_attempts} times; the last: {failure.code}: {failure.message}"
            last = Failure("TOO_MANY_ATTEMPTS", message, CODES["TOO_MANY_ATTEMPTS"].remedy)
            _end_items(db, connection, task, ItemState.FAILED, last)
            return
        pause_seconds = backoff_seconds * 2**task.failure_count * random.uniform(0.5, 1.0)
        connection.execute(
            update(Task)
            .where(Task.id == task.id)
            .values(
                state=TaskState.READY,
                worker=None,
                lease_until=None,
                not_before=db.now + pause_seconds,
                lost_count=Task.lost_count - 1,
                failure_count=Task.failure_count + 1,
                frames_done=0,
            )
        )
        end_attempt(db, connection, lease, Outcome.RETRY, code=failure.code, message=failure.message)


def replan_smaller(db: Database, lease: Lease, failure: Failure) -> None:
    """Answer to too little memory: plan the whole reel again with cells of half the size, or fail it at one frame.

    Stills are not cut, so a bundle's open ones fail.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        task = lock_lease_reel(connection, lease)
        batch_frames = connection.scalar(select(Item.batch_frames).where(Item.id == task.item_id)) or 1
        _close(db, connection, lease, TaskState.CANCELLED if batch_frames > 1 else TaskState.FAILED, failure)
        if batch_frames > 1:
            replan(db, connection, task.item_id, batch_frames=batch_frames // 2)
        else:
            _end_items(db, connection, task, ItemState.FAILED, failure)


def quarantine_frame(db: Database, lease: Lease, frame: int, reason: str) -> None:
    """Put a frame that kills its process in quarantine: a substitute is used wherever it would be read.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        task = lock_lease_reel(connection, lease)
        item = connection.execute(select(Item.__table__).where(Item.id == task.item_id)).one()
        recipe_json = item.recipe_json or connection.scalar(select(Job.recipe_json).where(Job.id == item.job_id))
        policy = read_column(Recipe, recipe_json, f"item {item.id}").bad_frames
        substitutes = read_column(tuple[Substitute, ...], item.substitutes_json, f"item {item.id}")
        entries = [each.model_dump() for each in substitutes]
        bad_frames = {entry["frame"] for entry in entries} | {frame}
        failure = Failure("POISON_FRAME", f"Frame {frame} kills the process: {reason}", CODES["POISON_FRAME"].remedy)
        if policy == "fail" or frame in {entry["frame"] for entry in entries}:
            _close(db, connection, lease, TaskState.QUARANTINED, failure)
            _end_item(db, connection, item.id, ItemState.QUARANTINED, failure)
            return
        entries.append({"frame": frame, "use": None, "reason": reason[:300]})
        for entry in entries:  # a frame that stood in for another may itself have turned bad
            entry["use"] = None if policy == "black" else nearest_good(entry["frame"], bad_frames, item.frames_total)
        connection.execute(update(Item).where(Item.id == item.id).values(substitutes_json=json.dumps(entries)))
        drop_around(db, connection, item, frame, keep=task.id)
        connection.execute(
            update(Task)
            .where(Task.id == task.id)
            .values(state=TaskState.READY, worker=None, lease_until=None, isolate=False, lost_count=0, frames_done=0)
        )
        sweep_attempt(db, connection, task)
        end_attempt(db, connection, lease, Outcome.RETRY, code=failure.code, message=failure.message)


def nearest_good(frame: int, bad: set[int], frame_count: int) -> int | None:
    """Return the good frame closest to ``frame``, the earlier of two; none when all are bad."""
    for distance in range(1, frame_count + 1):
        for candidate in (frame - distance, frame + distance):
            if 0 <= candidate < frame_count and candidate not in bad:
                return candidate
    return None


def reap(db: Database) -> int:
    """Take back every task whose lease ran out; returns how many."""
    with db.write() as connection:
        return len(_take_back(db, connection, Task.lease_until < db.now, forgive=False))


def hold_leases(db: Database, seconds: float) -> None:
    """Extend every lease that ran out: the database was away, so nobody could renew."""
    with db.write() as connection:
        connection.execute(
            update(Task)
            .where(Task.state == TaskState.RUNNING, Task.lease_until < db.now)
            .values(lease_until=db.now + seconds)
        )


def release_dead_worker(db: Database, boot_id: str, *, forgive: bool) -> int:
    """Take back at once what a dead worker held. ``forgive``: it was ended from outside, the task is not to blame."""
    with db.write() as connection:
        leave(connection, boot_id)
        return len(_take_back(db, connection, Task.worker == boot_id, forgive=forgive))


def _take_back(
    db: Database, connection: Connection, which: ColumnElement[bool], *, forgive: bool
) -> Sequence[Row[Any]]:
    which = and_(Task.state == TaskState.RUNNING, which)
    candidates = connection.execute(select(Task.id, Task.item_id).where(which)).all()
    if not candidates:
        return []
    # A crash may be answered by ending the whole reel.
    ids, reels = [row.id for row in candidates], [row.item_id for row in candidates if row.item_id is not None]
    lock_tasks(connection, or_(Task.id.in_(ids), Task.item_id.in_(reels)))
    # A heartbeat either renewed before the lock, and is looked at again here, or finds the task gone.
    tasks = connection.execute(select(Task.__table__).where(which, Task.id.in_(ids))).all()
    rows = connection.execute(
        update(Task)
        .where(Task.id.in_([row.id for row in tasks]))
        .values(
            state=TaskState.READY,
            worker=None,
            lease_until=None,
            frames_done=0,
            lost_count=Task.lost_count - (1 if forgive else 0),
        )
        .returning(*Task.__table__.columns)
    ).all()
    before = {row.id: row for row in tasks}
    for row in rows:
        sweep_attempt(db, connection, before[row.id])
        old = Lease(row.id, row.attempt, before[row.id].worker)
        end_attempt(db, connection, old, Outcome.LOST, message="The lease ended without a word")
        if row.lost_count >= CRASHES_ALLOWED:
            _answer_crashes(db, connection, row)
    return rows


def _answer_crashes(db: Database, connection: Connection, task: Row[Any]) -> None:
    if connection.scalar(select(Task.state).where(Task.id == task.id)) != TaskState.READY:
        return  # its reel has just been put in quarantine for another of its tasks
    if task.isolate:
        if task.lost_count >= CRASHES_IN_ISOLATION:
            _quarantine(db, connection, task, _items_of(connection, task))
    elif task.item_id is None:
        _split_bundle(db, connection, task)
    elif task.kind != TaskKind.RESTORE or not _split_segment(connection, task):
        _isolate(connection, task)


def _isolate(connection: Connection, task: Row[Any]) -> None:
    connection.execute(update(Task).where(Task.id == task.id).values(isolate=True, lost_count=0))


def _split_segment(connection: Connection, task: Row[Any]) -> bool:
    """Cut a segment in two on the grid; returns whether it has more than one cell."""
    cell = connection.scalar(select(Item.batch_frames).where(Item.id == task.item_id)) or 1
    middle = task.start_frame + (task.stop_frame - task.start_frame + cell) // (2 * cell) * cell
    if not task.start_frame < middle < task.stop_frame:
        return False
    _set_state(connection, task.id, TaskState.SPLIT)
    columns = ("job_id", "item_id", "kind", "generation", "queue", "signature")
    for start, stop in ((task.start_frame, middle), (middle, task.stop_frame)):
        # Each half stays under suspicion: one more crash splits it again.
        values = {name: getattr(task, name) for name in columns} | {"start_frame": start, "stop_frame": stop}
        connection.execute(insert(Task).values(**values, state=TaskState.READY, lost_count=CRASHES_ALLOWED - 1))
    return True


def _split_bundle(db: Database, connection: Connection, task: Row[Any]) -> None:
    items = _items_of(connection, task)
    if len(items) <= 1:
        _isolate(connection, task)
        return
    # Stills are committed one by one in order, so the first that is open is the suspect: it travels alone.
    _set_state(connection, task.id, TaskState.SPLIT)
    for group, lost_count in ((items[:1], CRASHES_ALLOWED - 1), (items[1:], 0)):
        (bundle,) = add_bundles(connection, task.job_id, TaskState.READY, 1, lost_count=lost_count)
        connection.execute(update(Item).where(Item.id.in_(group)).values(task_id=bundle))


def _quarantine(db: Database, connection: Connection, task: Row[Any], items: Sequence[int]) -> None:
    _set_state(connection, task.id, TaskState.QUARANTINED)
    message = f"The {task.kind} task {task.id} lost its worker {task.lost_count} times without a word"
    for item_id in items:
        failure = Failure("DECODER_CRASH", message, CODES["DECODER_CRASH"].remedy)
        _end_item(db, connection, item_id, ItemState.QUARANTINED, failure)


def _items_of(connection: Connection, task: Row[Any]) -> list[int]:
    if task.item_id is not None:
        return [task.item_id]
    rows = connection.execute(
        select(Item.id).where(Item.task_id == task.id, Item.state == ItemState.RUNNING).order_by(Item.seq)
    )
    return [item_id for (item_id,) in rows]


def _close(db: Database, connection: Connection, lease: Lease, state: TaskState, failure: Failure) -> None:
    task = connection.execute(select(Task.__table__).where(Task.id == lease.task_id)).one()
    sweep_attempt(db, connection, task)
    connection.execute(
        update(Task)
        .where(Task.id == lease.task_id)
        .values(state=state, lease_until=None, lost_count=Task.lost_count - 1)
    )
    end_attempt(db, connection, lease, Outcome.FAILED, code=failure.code, message=failure.message)


def _set_state(connection: Connection, task_id: int, state: TaskState) -> None:
    connection.execute(update(Task).where(Task.id == task_id).values(state=state, lease_until=None))


def _end_items(db: Database, connection: Connection, task: Row[Any], state: ItemState, failure: Failure) -> None:
    for item_id in _items_of(connection, task):
        _end_item(db, connection, item_id, state, failure)


def _end_item(db: Database, connection: Connection, item_id: int, state: ItemState, failure: Failure) -> None:
    row = connection.execute(
        update(Item)
        .where(Item.id == item_id, Item.state == ItemState.RUNNING)
        .values(
            state=state,
            error_code=failure.code,
            error_message=failure.message[:2000],
            error_remedy=failure.remedy[:1000],
            plan_due_at=None,
        )
        .returning(Item.job_id, Item.generation)
    ).first()
    if row is None:
        return
    # No result of this generation will ever be accepted, so none of its blobs is needed.
    add_sweep(db, connection, item_prefix(row.job_id, item_id, row.generation))
    move_items(connection, row.job_id, ItemState.RUNNING, state)
    cancel_tasks(db, connection, Task.item_id == item_id)
