"""A row becomes the record that a worker is given."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from db.beneath import ROOTS_OPTION
from db.errors import LeaseLost
from db.ledger.fencing import Lease, fence, prefix_of
from db.recipe import Recipe
from db.records import (
    NEIGHBOR_FRAMES,
    Assignment,
    Blob,
    EarlierResult,
    ItemView,
    Part,
    ReelFacts,
    Source,
    Substitute,
    TaskResult,
    read_column,
    read_object,
    read_word,
)
from db.session import Database
from db.states import ItemState, TaskKind, TaskState
from db.tables import Item, Job, Task


def read_assignment(db: Database, lease: Lease) -> Assignment:
    """Gather all that an attempt needs to know.

    Raises:
        LeaseLost: The lease is gone already.
        InputError: ``RECORD_UNREADABLE``.
    """
    with db.read() as connection:
        task = connection.execute(select(Task.__table__).where(fence(lease))).first()
        if task is None:
            raise LeaseLost(f"task {lease.task_id}, attempt {lease.attempt}: the lease is gone")
        kind = read_word(TaskKind, task.kind, f"task {task.id}")
        job = connection.execute(select(Job.recipe_json, Job.options_json).where(Job.id == task.job_id)).one()
        item: ItemView | None = None
        stills: tuple[ItemView, ...] = ()
        if task.item_id is not None:
            row = connection.execute(select(Item.__table__).where(Item.id == task.item_id)).one()
            item = item_view(row, *job)
        else:
            rows = connection.execute(
                select(Item.__table__)
                .where(Item.task_id == task.id, Item.state == ItemState.RUNNING)
                .order_by(Item.seq)
            )
            stills = tuple(item_view(row, *job) for row in rows)
        return Assignment(
            task_id=task.id,
            attempt=task.attempt,
            kind=kind,
            job_id=task.job_id,
            item=item,
            stills=stills,
            start_frame=task.start_frame,
            stop_frame=task.stop_frame,
            parts=_parts(connection, task, kind),
            blocks=_blocks(connection, task) if kind is TaskKind.ASSEMBLE else (),
            isolate=task.isolate,
            key_prefix=prefix_of(task),
        )


def item_view(row: Row[Any], job_recipe_json: str, job_options_json: str) -> ItemView:
    """Read an item's row as the record that workers see; raises ``InputError`` (``RECORD_UNREADABLE``)."""
    where = f"item {row.id}"
    roots = read_object(job_options_json, f"{where}'s job").get(ROOTS_OPTION)
    return ItemView(
        id=row.id,
        external_id=row.external_id,
        source=read_column(Source, row.source_json, where).model_copy(update={"roots": roots and tuple(roots)}),
        recipe=read_column(Recipe, row.recipe_json or job_recipe_json, where),
        generation=row.generation,
        facts=read_column(ReelFacts, row.facts_json, where) if row.facts_json else None,
        profile=read_column(Blob, row.profile_json, where) if row.profile_json else None,
        substitutes=read_column(tuple[Substitute, ...], row.substitutes_json, where),
        base=read_column(EarlierResult, row.base_json, where) if row.base_json else None,
        batch_frames=row.batch_frames or 1,
    )


def _parts(connection: Connection, task: Row[Any], kind: TaskKind) -> tuple[Part, ...]:
    if kind is TaskKind.READ_BACK:
        # With frames before it for metrics of neighbours, and one behind it for access copies of other rates.
        is_near = (Task.start_frame <= task.stop_frame, Task.stop_frame > task.start_frame - NEIGHBOR_FRAMES)
        return _finished(connection, task, TaskKind.RESTORE, *is_near)
    part_kind = {TaskKind.MERGE: TaskKind.INSPECT, TaskKind.ASSEMBLE: TaskKind.RESTORE}.get(kind)
    return _finished(connection, task, part_kind) if part_kind else ()


def _blocks(connection: Connection, task: Row[Any]) -> tuple[Part, ...]:
    return _finished(connection, task, TaskKind.READ_BACK)


def _finished(connection: Connection, task: Row[Any], kind: TaskKind, *which: ColumnElement[bool]) -> tuple[Part, ...]:
    rows = connection.execute(
        select(Task.start_frame, Task.stop_frame, Task.result_json)
        .where(
            Task.item_id == task.item_id,
            Task.generation == task.generation,
            Task.kind == kind,
            Task.state == TaskState.DONE,
            Task.dropped.is_(False),
            *which,
        )
        .order_by(Task.start_frame)
    )
    return tuple(
        Part(start_frame=row.start_frame, stop_frame=row.stop_frame,
             outputs=read_column(TaskResult, row.result_json, f"a part of task {task.id}").outputs)
        for row in rows
    )  # fmt: skip
