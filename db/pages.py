"""Jobs and items a page at a time, as quick at the end of a million as at the beginning of ten.

A page begins behind the last row of the one before (a key, never an offset). Where an index leads to what is meant, its
head is read; what no index knows is looked for in a window of the job, and the page says how far it looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from db.bounds import ScoreBound
from db.errors import InputError
from db.progress import ItemRow, JobRow, item_row, job_row
from db.selection import Selection, lives, score_condition
from db.session import Database
from db.states import TaskState
from db.tables import Item, ItemScore, Job, Task, Worker

WINDOW = 12_000
"""Items that are looked through for one page: some tens of milliseconds."""


@dataclass(frozen=True)
class ItemPage:
    """Some items in manifest order."""

    rows: tuple[ItemRow, ...]
    more: bool
    """Whether others follow, or may: in the direction that was asked for."""
    searched_to: int | None = None
    """The place in the manifest up to which items were looked through, where that is not its end; else none."""


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first."""

    rows: tuple[JobRow, ...]
    more: bool


@dataclass(frozen=True)
class TaskInHand:
    """What a worker has in hand."""

    worker: str
    """Its boot id."""
    task_id: int
    kind: str
    job_id: int
    item_id: int | None
    """None for a bundle of stills."""
    start_frame: int
    stop_frame: int
    """Half-open range of frames; both 0 where the kind has none."""
    frames_done: int


def tasks_in_hand(db: Database) -> tuple[TaskInHand, ...]:
    """Return the tasks that are running, in the order in which they were made."""
    statement = select(Task.__table__).where(Task.state == TaskState.RUNNING).order_by(Task.id)
    with db.read() as connection:
        rows = connection.execute(statement).all()
    return tuple(
        TaskInHand(
            row.worker, row.id, row.kind, row.job_id, row.item_id, row.start_frame, row.stop_frame, row.frames_done
        )
        for row in rows
    )


def stranded_tasks(db: Database, silent_seconds: float) -> dict[str, int]:
    """Return how many tasks wait for a compute signature that no worker has shown for so long, by signature."""
    shown = select(Worker.signature).where(lives(db.now, silent_seconds))
    waits = Task.state.in_((TaskState.READY, TaskState.QUEUED))
    statement = select(Task.signature, func.count()).where(waits, Task.signature.is_not(None))
    statement = statement.where(Task.signature.not_in(shown)).group_by(Task.signature).order_by(Task.signature)
    with db.read() as connection:
        return {str(signature): count for signature, count in connection.execute(statement)}


def item_page(
    db: Database,
    job_id: int,
    selection: Selection,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> ItemPage:
    """Return items that are meant, in manifest order.

    Args:
        db: The database.
        job_id: The job; one that is not there has no items.
        selection: Which items; ``external_ids`` is not asked here.
        after: Only behind this place (``ItemRow.seq``); none begins at the first item.
        before: Only before this place, those nearest to it; not together with ``after``.
        limit: Rows at most.
    """
    back = before is not None
    edge = before if before is not None else -1 if after is None else after
    with db.read() as connection:
        if selection.looks_into_items():
            return _look_through(connection, job_id, selection, edge, back, limit)
        heads = [
            connection.execute(_ordered(statement, edge, back).limit(limit + 1)).all()
            for statement in _indexed(job_id, selection)
        ]
    rows = list(merge(*heads, key=lambda row: row.seq, reverse=back))[: limit + 1]
    return ItemPage(_to_rows(rows[:limit], back), len(rows) > limit)


def worst_items(
    db: Database, job_id: int, bound: ScoreBound, *, after: tuple[float, int] | None = None, limit: int = 100
) -> tuple[tuple[float, ItemRow], ...]:
    """Return items that meet a bound with their scores, the farthest from it first.

    Args:
        db: The database.
        job_id: The job.
        bound: The condition.
        after: Score and ``ItemRow.id`` of the last one of the page before; none begins anew.
        limit: Rows at most.
    """
    falls = bound.wants_more
    value, number = ItemScore.value, ItemScore.item_id
    statement = select(Item.__table__, value).join(Item, Item.id == number)
    statement = statement.where(ItemScore.job_id == job_id, score_condition(bound))
    if after is not None:
        further = value < after[0] if falls else value > after[0]
        statement = statement.where(further | ((value == after[0]) & (number > after[1])))
    order = (value.desc() if falls else value, number)
    with db.read() as connection:
        rows = connection.execute(statement.order_by(*order).limit(limit)).all()
    return tuple((float(row.value), item_row(row)) for row in rows)


def job_page(db: Database, *, before_id: int | None = None, limit: int = 50) -> JobPage:
    """Return jobs, newest first, older than ``before_id``; none begins with the newest."""
    statement = select(Job.__table__).order_by(Job.id.desc()).limit(limit + 1)
    if before_id is not None:
        statement = statement.where(Job.id < before_id)
    with db.read() as connection:
        rows = connection.execute(statement).all()
    return JobPage(tuple(job_row(row) for row in rows[:limit]), len(rows) > limit)


def item(db: Database, item_id: int) -> tuple[int, ItemRow]:
    """Return the number of an item's job, and the item.

    Raises:
        InputError: ``UNKNOWN_ITEM``.
    """
    with db.read() as connection:
        row = connection.execute(select(Item.__table__).where(Item.id == item_id)).first()
    if row is None:
        raise InputError(f"There is no item with the number {item_id}", code="UNKNOWN_ITEM")
    return row.job_id, item_row(row)


def external_ids(db: Database, job_id: int, item_ids: Sequence[int]) -> tuple[str, ...]:
    """Return the ids of those items of a job that have one of the numbers, in manifest order."""
    statement = select(Item.external_id).where(Item.job_id == job_id, Item.id.in_(item_ids)).order_by(Item.seq)
    with db.read() as connection:
        return tuple(connection.scalars(statement))


def code_counts(db: Database, job_id: int) -> dict[str, int]:
    """Return how many items of a job have each error code, the most frequent first; read from an index."""
    count = func.count()
    statement = select(Item.error_code, count).where(Item.job_id == job_id, Item.error_code.is_not(None))
    with db.read() as connection:
        rows = connection.execute(statement.group_by(Item.error_code).order_by(count.desc(), Item.error_code)).all()
    return {str(code): number for code, number in rows}


def finished_count(db: Database, job_id: int, selection: Selection) -> int:
    """Count the items that ``ledger.rerun`` would start again; unlike there, no condition means all of them.

    It looks at every such item, so it is for a question that a person is asked once, not for a list. Of
    ``external_ids`` there may be as many as somebody chooses on a page.
    """
    statement = select(func.count()).select_from(Item).where(Item.job_id == job_id, *selection.conditions_to_rerun())
    if selection.external_ids:
        statement = statement.where(Item.external_id.in_(selection.external_ids))
    with db.read() as connection:
        return connection.scalar(statement) or 0


def _indexed(job_id: int, selection: Selection) -> Iterator[Select[Any]]:
    """Yield a statement for each state, or each code, that an index leads to; one for all items where none is named."""
    statement = select(Item.__table__).where(Item.job_id == job_id)
    states: list[ColumnElement[bool]] = [Item.state.in_(selection.states)] if selection.states else []
    if selection.codes:
        yield from (statement.where(Item.error_code == code, *states) for code in sorted(set(selection.codes)))
    elif selection.states:
        yield from (statement.where(Item.state == state) for state in sorted(set(selection.states)))
    else:
        yield statement


def _look_through(
    connection: Connection, job_id: int, selection: Selection, edge: int, back: bool, limit: int
) -> ItemPage:
    """Look through one window of a job."""
    end = edge - WINDOW - 1 if back else edge + WINDOW + 1
    statement = select(Item.__table__).where(Item.job_id == job_id, *selection.conditions())
    statement = _ordered(statement, edge, back).where(Item.seq > end if back else Item.seq < end)
    rows = connection.execute(statement.limit(limit + 1)).all()
    if len(rows) > limit:
        return ItemPage(_to_rows(rows[:limit], back), True)
    further = select(Item.seq).where(Item.job_id == job_id, Item.seq <= end if back else Item.seq >= end).limit(1)
    is_left = connection.scalar(further) is not None
    searched_to = (end + 1 if back else end - 1) if is_left else None
    return ItemPage(_to_rows(rows, back), is_left, searched_to)


def _ordered(statement: Select[Any], edge: int, back: bool) -> Select[Any]:
    if back:
        return statement.where(Item.seq < edge).order_by(Item.seq.desc())
    return statement.where(Item.seq > edge).order_by(Item.seq)


def _to_rows(rows: Sequence[Row[Any]], back: bool) -> tuple[ItemRow, ...]:
    return tuple(item_row(row) for row in (reversed(rows) if back else rows))
