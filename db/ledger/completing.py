"""Work is accepted: every function checks the fence and writes result, state and counters in one transaction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from db.errors import LeaseLost
from db.ledger.counting import add_delta
from db.ledger.fencing import Lease, end_attempt, lock_lease_task, prefix_of
from db.ledger.maintenance import add_sweep
from db.ledger.reviewing import add_reviews
from db.records import Blob, ItemResult, ReelFacts, TaskResult
from db.session import Database
from db.states import ItemState, Outcome, TaskKind, TaskState
from db.tables import Item, ItemScore, Result, Task


def complete_task(db: Database, lease: Lease, result: TaskResult) -> None:
    """Accept a task of a reel that does not finish it, and let the planner look at the reel.

    Raises:
        LeaseLost: The fence refuses: the result is not accepted and its blobs are swept later.
    """
    with db.write() as connection:
        task = lock_lease_task(connection, lease)
        _finish(db, connection, lease, result_json=result.model_dump_json())
        changes: dict[str, object] = {"plan_due_at": db.now}
        if result.facts is not None:
            changes |= _new_facts(db, connection, task, result, result.facts)
        if "profile" in result.outputs:
            changes["profile_json"] = result.outputs["profile"].model_dump_json()
        if task.kind == TaskKind.RESTORE:
            changes["frames_done"] = Item.frames_done + result.frames
            add_delta(connection, task.job_id, frames_done=result.frames)
        connection.execute(update(Item).where(Item.id == task.item_id).values(**changes))


def _new_facts(
    db: Database, connection: Connection, task: Row[Any], result: TaskResult, facts: ReelFacts
) -> dict[str, object]:
    """Return what an item's row says of a reel that was looked through; measures of what was known before are void."""
    before = connection.scalar(select(Item.frames_total).where(Item.id == task.item_id)) or 0
    add_delta(connection, task.job_id, frames_total=facts.frame_count - before)
    if task.kind == TaskKind.MERGE:
        _drop_done(db, connection, task, result.outputs, TaskKind.INSPECT)
    return {"facts_json": facts.model_dump_json(), "frames_total": facts.frame_count}


def complete_item(db: Database, lease: Lease, result: ItemResult) -> None:
    """Accept an assembled reel: the item is done, and its chunks, now folded into the master, are swept later.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        task = lock_lease_task(connection, lease)
        _finish(db, connection, lease)
        _accept(db, connection, lease, task.item_id, result)
        _drop_done(db, connection, task, result.outputs, TaskKind.INSPECT, TaskKind.RESTORE, TaskKind.READ_BACK)


def _drop_done(
    db: Database, connection: Connection, task: Row[Any], outputs: Mapping[str, Blob], *kinds: TaskKind
) -> None:
    """Let go of what finished tasks of the same reel left, where it is folded into what this one brings."""
    rows = connection.execute(
        select(Task.__table__).where(
            Task.item_id == task.item_id,
            Task.generation == task.generation,
            Task.kind.in_(kinds),
            Task.state == TaskState.DONE,
            Task.dropped.is_(False),
        )
    ).all()
    # The files of an image sequence are not folded into anything: they stay where the segments put them.
    kept = {blob.key.rpartition("/")[0] for blob in outputs.values()}
    for prefix in {prefix_of(row) for row in rows} - kept:
        add_sweep(db, connection, prefix)
    connection.execute(update(Task).where(Task.id.in_([row.id for row in rows])).values(dropped=True))


def complete_still(db: Database, lease: Lease, item_id: int, result: ItemResult) -> None:
    """Accept one still of a bundle; the bundle goes on.

    Raises:
        LeaseLost: The fence refuses, or the still no longer travels in this bundle.
    """
    with db.write() as connection:
        task = lock_lease_task(connection, lease)
        connection.execute(update(Task).where(Task.id == task.id).values(frames_done=Task.frames_done + 1))
        bundle_id = connection.scalar(select(Item.task_id).where(Item.id == item_id).with_for_update(key_share=True))
        if bundle_id != task.id:
            raise LeaseLost(f"item {item_id} does not travel in task {task.id}")
        _accept(db, connection, lease, item_id, result)
        connection.execute(update(Item).where(Item.id == item_id).values(frames_done=1))
        add_delta(connection, task.job_id, frames_done=1)


def finish_bundle(db: Database, lease: Lease) -> None:
    """End a bundle whose stills are all accounted for.

    Raises:
        LeaseLost: The fence refuses.
    """
    with db.write() as connection:
        lock_lease_task(connection, lease)
        _finish(db, connection, lease)


def _finish(db: Database, connection: Connection, lease: Lease, *, result_json: str | None = None) -> None:
    connection.execute(
        update(Task)
        .where(Task.id == lease.task_id)
        .values(state=TaskState.DONE, lease_until=None, lost_count=Task.lost_count - 1, result_json=result_json)
    )
    end_attempt(db, connection, lease, Outcome.DONE)


def _accept(db: Database, connection: Connection, lease: Lease, item_id: int, result: ItemResult) -> None:
    row = connection.execute(
        update(Item)
        .where(Item.id == item_id, Item.state == ItemState.RUNNING)
        .values(state=ItemState.DONE, error_code=None, error_message=None, error_remedy=None)
        .returning(Item.generation, Item.job_id)
    ).first()
    if row is None:
        raise LeaseLost(f"item {item_id} is no longer running")
    connection.execute(
        insert(Result).values(
            item_id=item_id,
            generation=row.generation,
            task_id=lease.task_id,
            attempt=lease.attempt,
            result_json=result.model_dump_json(),
            accepted_at=db.now,
        )
    )
    _note_scores(connection, row.job_id, item_id, result)
    add_reviews(connection, row.job_id, item_id, row.generation, result.below_gates)
    add_delta(
        connection,
        row.job_id,
        items_running=-1,
        items_done=1,
        bytes_out=sum(blob.bytes for blob in result.outputs.values()),
    )


def _note_scores(connection: Connection, job_id: int, item_id: int, result: ItemResult) -> None:
    """Replace the scores by which an item is found; one that is no number leads nowhere."""
    connection.execute(delete(ItemScore).where(ItemScore.item_id == item_id))
    scores = [
        {"item_id": item_id, "job_id": job_id, "metric": name, "value": float(value)}
        for name, value in result.scores.items()
        if math.isfinite(value)
    ]
    if scores:
        connection.execute(insert(ItemScore), scores)
