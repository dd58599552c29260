"""Whether the rows of an installation agree with one another. Only reads."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, case, func, or_, select, text

from db import progress
from db.errors import InputError
from db.needed import ROWS_AT_ONCE, needs
from db.records import ItemResult, ReelFacts, Source, read_column
from db.session import Database
from db.states import ITEM_LIVE, JOB_OVER, TASK_LIVE, ItemKind, ItemState
from db.tables import Item, Job, Result, Task


def contradictions(db: Database) -> Iterator[str]:
    """Yield what is wrong, in words; nothing where all is well.

    Counters are compared while nobody counts: beside work they may be told of that are right a moment later.
    """
    with db.freeze() as connection:
        if db.is_sqlite:
            yield from _damage(connection)
        yield from _unreadable(connection)
        yield from _stuck(connection)
        jobs = connection.scalars(select(Job.id).order_by(Job.id)).all()
        counts = {job_id: _recount(connection, job_id) for job_id in jobs}
    for job_id, counted in counts.items():
        shown = progress.progress(db, job_id)
        for name, count in counted.items():
            if getattr(shown, name) != count:
                yield f"Job {job_id}: {name} is {getattr(shown, name)}, and there are {count}"


def _damage(connection: Connection) -> Iterator[str]:
    for (line,) in connection.execute(text("PRAGMA integrity_check(20)")):
        if line != "ok":
            yield f"The database's file: {line}"
    for row in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"Table {row[0]}, row {row[1]} points to a row of {row[2]} that is not there"


def _unreadable(connection: Connection) -> Iterator[str]:
    streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
    for kind, name, statement in (
        (Source, "item {}'s source", select(Item.id, Item.source_json)),
        (ReelFacts, "item {}'s reel", select(Item.id, Item.facts_json)),
        (ItemResult, "result {}", select(Result.id, Result.result_json)),
    ):
        with streaming.execute(statement) as rows:
            for number, column in rows:
                try:
                    if column is not None:
                        read_column(kind, column, name.format(number))
                except InputError as error:
                    yield error.message
    try:
        for _ in needs(connection):
            pass
    except InputError as error:
        yield error.message


def _stuck(connection: Connection) -> Iterator[str]:
    """Find items that nobody will ever go on with, and those that are done without a result."""
    of_item = select(Task.id).where(Task.item_id == Item.id, Task.state.in_(TASK_LIVE)).exists()
    of_bundle = select(Task.id).where(Task.id == Item.task_id, Task.state.in_(TASK_LIVE)).exists()
    waiting = (Item.state.in_(ITEM_LIVE), Item.plan_due_at.is_(None), ~of_item, ~of_bundle)
    open_jobs = select(Item.id).join(Job, Job.id == Item.job_id).where(Job.state.not_in((*JOB_OVER, "ingesting")))
    for number in connection.scalars(open_jobs.where(*waiting)):
        yield f"Item {number} waits, and no task of it does"
    accepted = select(Result.id).where(Result.item_id == Item.id, Result.generation == Item.generation).exists()
    for number in connection.scalars(select(Item.id).where(Item.state == ItemState.DONE, ~accepted)):
        yield f"Item {number} is done, and has no result"


def _recount(connection: Connection, job_id: int) -> dict[str, int]:
    """Count a job's items and frames anew, by what :class:`db.progress.ProgressRow` calls them."""
    states = select(Item.state, func.count()).where(Item.job_id == job_id).group_by(Item.state)
    counted = {f"items_{state}": 0 for state in ItemState}
    counted |= {f"items_{state}": count for state, count in connection.execute(states)}
    # A still whose line was bad never travelled, and is not counted: rows of 0.1 have its frame nevertheless.
    is_counted = or_(Item.kind == ItemKind.REEL, Item.task_id.is_not(None))
    totals = func.coalesce(func.sum(case((is_counted, Item.frames_total), else_=0)), 0)
    frames_done = func.coalesce(func.sum(Item.frames_done), 0) + progress.frames_in_work(job_id)
    frames = connection.execute(select(totals, frames_done).where(Item.job_id == job_id)).one()
    return counted | {"frames_total": int(frames[0]), "frames_done": int(frames[1])}
