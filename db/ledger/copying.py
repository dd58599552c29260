"""All rows of an installation as they were at one moment, copied into another database.

Whoever worked at that moment goes on where it was: what ran then is handed back, as if its worker had let go of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, func, insert, select, text, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError

from db.errors import InputError
from db.session import Database
from db.states import Outcome, TaskState, WorkerState
from db.tables import Attempt, Base, BrowserSession, Leader, Look, Sweep, Task, Worker

_LEFT_BEHIND = frozenset(each.__table__ for each in (Leader, Look, Sweep, BrowserSession))
"""What belongs to where it is: who leads there, who is logged in, what a page waits for, what is to be removed."""


ROWS_AT_ONCE = 1000
"""Rows that are fetched and written together."""


@dataclass(frozen=True)
class TableSum:
    """What a table holds."""

    rows: int
    sha256: str
    """Of all its rows in the order of their keys."""


def copied_tables() -> Iterator[Table]:
    """Yield the tables that are copied; those that others point to come first."""
    for table in Base.metadata.sorted_tables:
        if table not in _LEFT_BEHIND:
            yield table


def table_sums(connection: Connection) -> Mapping[str, TableSum]:
    """Return what each table that is copied holds, by name. Two databases of any kind with the same rows are equal."""
    return {table.name: _sum_rows(connection, table) for table in copied_tables()}


def is_empty(db: Database) -> bool:
    """Whether no table that would be copied holds a row."""
    with db.read() as connection:
        return all(connection.execute(select(table).limit(1)).first() is None for table in copied_tables())


def copy_rows(source: Connection, target: Database) -> Mapping[str, TableSum]:
    """Put all rows into an empty database, in one transaction; returns what its tables then hold.

    Args:
        source: A transaction of :meth:`Database.freeze`.
        target: A database of this release's schema.

    Raises:
        InputError: ``TARGET_IN_USE`` where somebody else has put rows into it.
    """
    with _refuse_company(), target.write() as connection:
        for table in copied_tables():
            with _rows(source, table) as rows:
                for part in rows.partitions(ROWS_AT_ONCE):
                    connection.execute(insert(table), [row._asdict() for row in part])
        _hand_back(connection)
        if not target.is_sqlite:
            _count_on(connection)
        return table_sums(connection)


@contextmanager
def _refuse_company() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise InputError("Others have put rows into the database meanwhile", code="TARGET_IN_USE") from error


def _rows(connection: Connection, table: Table) -> CursorResult[Any]:
    return connection.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*table.primary_key))


def _sum_rows(connection: Connection, table: Table) -> TableSum:
    digest, count = hashlib.sha256(), 0
    with _rows(connection, table) as rows:
        for row in rows:
            digest.update(_spell(row))
            count += 1
    return TableSum(count, digest.hexdigest())


def _spell(row: Row[Any]) -> bytes:
    return json.dumps(list(row), separators=(",", ":")).encode() + b"\n"


def _hand_back(connection: Connection) -> None:
    """Let go of what workers elsewhere hold; it costs no attempt, and none of them can write here."""
    last_heard = select(Worker.heartbeat_at).where(Worker.boot_id == Attempt.worker).scalar_subquery()
    ended_at = func.coalesce(last_heard, Attempt.started_at)
    connection.execute(
        update(Attempt).where(Attempt.outcome.is_(None)).values(ended_at=ended_at, outcome=Outcome.RELEASED)
    )
    # The lease had counted itself as lost, until its orderly end.
    connection.execute(
        update(Task)
        .where(Task.state == TaskState.RUNNING)
        .values(state=TaskState.READY, worker=None, lease_until=None, lost_count=Task.lost_count - 1, frames_done=0)
    )
    connection.execute(update(Task).where(Task.state == TaskState.QUEUED).values(state=TaskState.READY, queued_at=None))
    connection.execute(update(Worker).values(state=WorkerState.LEFT))


def _count_on(connection: Connection) -> None:
    """Let PostgreSQL number the next rows after those that came with numbers."""
    for table in copied_tables():
        for column in table.primary_key:
            sequence = connection.scalar(
                text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
            )
            highest = connection.scalar(select(func.max(column))) if sequence else None
            if highest is not None:
                values = {"sequence": sequence, "highest": highest}
                connection.execute(text("SELECT setval(:sequence, :highest)"), values)
