"""What the planner sees of a reel, and what it writes: the next tasks, or a new start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from db.errors import InputError
from db.ledger.assignments import item_view
from db.ledger.counting import add_delta
from db.ledger.fencing import CHUNK, cancel_tasks, lock_tasks, prefix_of
from db.ledger.maintenance import add_sweep
from db.queues import FINISH, restore_queue
from db.records import ItemView, read_word
from db.selection import lives
from db.session import Database
from db.states import TASK_LIVE, ItemState, JobState, TaskKind, TaskState
from db.tables import Item, Job, Task, Worker

_BOUND = frozenset({TaskKind.INSPECT, TaskKind.RESTORE, TaskKind.READ_BACK})
"""Kinds whose outputs must come from workers that compute alike: they are put together."""


@dataclass(frozen=True)
class ReelView:
    """A reel of which a task just finished."""

    item: ItemView
    job_options_json: str
    done: dict[TaskKind, int]
    """Accepted tasks of the present generation, by kind."""
    live: dict[TaskKind, int]
    """Tasks that are still to be done or running, by kind."""
    signature: str | None
    batch_frames: int | None
    """Cell size that was chosen before; none leaves it to the planner."""
    seen_at: float
    """The planning mark that this view answers."""


@dataclass(frozen=True)
class NewTask:
    """A task that the planner wants."""

    kind: TaskKind
    start_frame: int = 0
    stop_frame: int = 0


@dataclass(frozen=True)
class ReelPlan:
    """What the planner decided for a reel."""

    tasks: Sequence[NewTask]
    signature: str | None
    """Compute signature that inspect, restore and read-back tasks are bound to from now on."""
    batch_frames: int
    handle_frames: int


def due_reels(
    db: Database, limit: int = 64, *, refuse: Callable[[int, InputError], object] | None = None
) -> list[ReelView]:
    """Reels whose next tasks may be planned, oldest mark first.

    Args:
        db: The database.
        limit: How many at most.
        refuse: Told of each item whose row cannot be read, and why; if omitted, the first one is raised.

    Raises:
        InputError: ``RECORD_UNREADABLE``.
    """
    views: list[ReelView] = []
    unreadable: list[tuple[int, InputError]] = []
    statement = (
        select(Item.__table__, Job.recipe_json.label("job_recipe_json"), Job.options_json)
        .join(Job, Job.id == Item.job_id)
        .where(Item.plan_due_at.is_not(None), Item.state == ItemState.RUNNING)
        .where(Job.state.in_((JobState.RUNNING, JobState.PAUSED)))
        .order_by(Item.plan_due_at)
        .limit(limit)
    )
    with db.read() as connection:
        for row in connection.execute(statement).all():
            try:
                views.append(_view(connection, row))
            except InputError as error:
                if refuse is None:
                    raise
                unreadable.append((row.id, error))
    for item_id, reason in unreadable:
        assert refuse is not None
        refuse(item_id, reason)
    return views


def add_tasks(db: Database, view: ReelView, plan: ReelPlan) -> bool:
    """Write a plan down, unless the reel changed since it was seen; returns whether it was written."""
    present = (
        Item.id == view.item.id,
        Item.generation == view.item.generation,
        Item.state == ItemState.RUNNING,
        Item.plan_due_at == view.seen_at,
    )
    with db.write() as connection:
        row = connection.execute(select(Item.__table__).where(*present).with_for_update(key_share=True)).first()
        # The mark alone could deceive: two tasks may finish within one tick of the clock.
        if row is None or _task_counts(connection, row) != (view.done, view.live):
            return False
        connection.execute(
            update(Item)
            .where(Item.id == row.id)
            .values(
                plan_due_at=None,
                signature=plan.signature,
                batch_frames=plan.batch_frames,
                handle_frames=plan.handle_frames,
            )
        )
        if plan.tasks:
            rows = [_task_row(row.job_id, view.item, plan.signature, task) for task in plan.tasks]
            connection.execute(insert(Task), rows)
        return True


def replan(db: Database, connection: Connection, item_id: int, *, batch_frames: int | None) -> None:
    """Start a reel's restoration anew (other cells, or other workers): what was restored so far is dropped."""
    generation = select(Item.generation).where(Item.id == item_id).scalar_subquery()
    which = and_(Task.item_id == item_id, Task.generation == generation, Task.kind != TaskKind.PROBE)
    lock_tasks(connection, Task.item_id == item_id)
    for row in connection.execute(
        select(Task.__table__).where(which, Task.state == TaskState.DONE, Task.dropped.is_(False))
    ).all():
        _drop(db, connection, row)
    cancel_tasks(db, connection, which)
    connection.execute(
        update(Item)
        .where(Item.id == item_id)
        .values(plan_due_at=db.now, signature=None, batch_frames=batch_frames, profile_json=None)
    )


def drop_around(db: Database, connection: Connection, item: Row[Any], frame: int, *, keep: int) -> None:
    """Plan again every restore task of the reel that reads ``frame``, but for the task ``keep``.

    The caller holds the reel's live tasks: one that is queued cannot be leased, and read the reel as it was, meanwhile.
    """
    rows = connection.execute(
        select(Task.__table__).where(
            Task.item_id == item.id,
            Task.generation == item.generation,
            Task.kind == TaskKind.RESTORE,
            Task.id != keep,
            Task.state.in_((TaskState.DONE, TaskState.RUNNING)),
            Task.dropped.is_(False),
            Task.start_frame - item.handle_frames <= frame,
            Task.stop_frame + item.handle_frames > frame,
        )
    ).all()
    for row in rows:
        if row.state == TaskState.DONE:
            _drop(db, connection, row)
        else:
            cancel_tasks(db, connection, Task.id == row.id)
        values = {
            name: getattr(row, name) for name in ("job_id", "item_id", "kind", "generation", "queue", "signature")
        }
        frames = {"start_frame": row.start_frame, "stop_frame": row.stop_frame}
        connection.execute(insert(Task).values(**values, **frames, state=TaskState.READY))


def replan_stranded(db: Database, wait_seconds: float) -> int:
    """Plan reels again that are bound to a compute signature which no worker has shown for ``wait_seconds``.

    Returns how many, a few hundred at most at once. Nothing happens while no worker lives that knows its own: they may
    all come back as they were.
    """
    recent = select(Worker.signature).where(Worker.heartbeat_at > db.now - wait_seconds)
    live = select(Worker.signature).where(lives(db.now, wait_seconds), Worker.signature != "")
    missing = select(Worker.signature).where(Worker.signature.not_in(recent)).distinct()
    with db.write() as connection:
        queues = [restore_queue(signature) for signature in connection.scalars(missing)]
        if not queues or connection.execute(live.limit(1)).first() is None:
            return 0
        # Asked job by job and queue by queue, as the partial indexes lie: a job may have millions of ready tasks.
        ready = select(Task.item_id).where(
            Task.job_id.in_(select(Job.id).where(Job.state.in_((JobState.RUNNING, JobState.PAUSED)))),
            Task.queue.in_(queues),
            Task.state == TaskState.READY,
        )
        queue_items = select(Task.item_id).where(Task.queue.in_(queues), Task.state == TaskState.QUEUED)
        stuck = {item for which in (ready, queue_items) for item in connection.scalars(which.distinct()) if item}
        rows = connection.execute(
            select(Item.id, Item.batch_frames)
            .where(Item.id.in_(sorted(stuck)[:CHUNK]), Item.state == ItemState.RUNNING)
            .order_by(Item.id)
        ).all()
        for row in rows:
            replan(db, connection, row.id, batch_frames=row.batch_frames)
        return len(rows)


def _task_counts(connection: Connection, row: Row[Any]) -> tuple[dict[TaskKind, int], dict[TaskKind, int]]:
    """Tasks of a reel's present generation that are done, and those that are live, by kind."""
    counts = connection.execute(
        select(Task.kind, Task.state, func.count())
        .where(Task.item_id == row.id, Task.generation == row.generation, Task.dropped.is_(False))
        .group_by(Task.kind, Task.state)
    ).all()
    where = f"a task of item {row.id}"
    done = {read_word(TaskKind, kind, where): count for kind, state, count in counts if state == TaskState.DONE}
    live: dict[TaskKind, int] = {}
    for kind, state, count in counts:
        if state in TASK_LIVE:
            task_kind = read_word(TaskKind, kind, where)
            live[task_kind] = live.get(task_kind, 0) + count
    return done, live


def _view(connection: Connection, row: Row[Any]) -> ReelView:
    done, live = _task_counts(connection, row)
    return ReelView(
        item=item_view(row, row.job_recipe_json, row.options_json),
        job_options_json=row.options_json,
        done=done,
        live=live,
        signature=row.signature,
        batch_frames=row.batch_frames,
        seen_at=row.plan_due_at,
    )


def _task_row(job_id: int, item: ItemView, signature: str | None, task: NewTask) -> dict[str, Any]:
    bound_to = signature if task.kind in _BOUND else None
    return {
        "job_id": job_id,
        "item_id": item.id,
        "kind": task.kind,
        "generation": item.generation,
        "start_frame": task.start_frame,
        "stop_frame": task.stop_frame,
        "queue": FINISH if bound_to is None else restore_queue(bound_to),
        "signature": bound_to,
        "state": TaskState.READY,
    }


def _drop(db: Database, connection: Connection, row: Row[Any]) -> None:
    add_sweep(db, connection, prefix_of(row))
    connection.execute(update(Task).where(Task.id == row.id).values(dropped=True))
    if row.kind == TaskKind.RESTORE:
        frames = row.stop_frame - row.start_frame
        connection.execute(update(Item).where(Item.id == row.item_id).values(frames_done=Item.frames_done - frames))
        add_delta(connection, row.job_id, frames_done=-frames)
