"""Rows are the same in another database, of either kind, and what ran is free again there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Float, Integer, Table, insert, select

from db import ledger, progress, session
from db.errors import InputError
from db.session import Database
from db.tables import Attempt, Base
from tests.db.desk import SIGNATURE, Desk, reel, still

ODD = "Zoë's “reel”\n\t\\ 映画 \U0001f39e"


def _value(column: Any, number: int) -> Any:
    match column.type:
        case Boolean():
            return number % 2 == 0
        case Float():
            return 1e9 + number / 7
        case Integer():
            return number
    return f"{number}{ODD}"[: getattr(column.type, "length", None)]


def _fill(database: Database) -> None:
    """Put two rows into every table; where a column may be none, it is so in the second."""
    with database.write() as connection:
        for table in Base.metadata.sorted_tables:
            for number in (41, 42):
                row = {
                    column.name: None if column.nullable and number == 42 else _value(column, number)
                    for column in table.columns
                }
                connection.execute(insert(table).values(row))


@pytest.fixture
def other(tmp_path: Path, empty_database: Path) -> Iterator[Database]:
    with Database(session.engine(f"sqlite:///{shutil.copy(empty_database, tmp_path / 'other.db')}")) as database:
        yield database


def _counts(database: Database) -> dict[str, int]:
    with database.freeze() as connection:
        return {name: each.rows for name, each in ledger.table_sums(connection).items()}


def test_every_table_is_copied_or_is_of_its_place_alone(database: Database, other: Database) -> None:
    assert ledger.is_empty(database)
    _fill(database)
    with database.freeze() as connection:
        sums = ledger.copy_rows(connection, other)
    assert _counts(other) == {table.name: 2 for table in ledger.copied_tables()}
    left = {table.name for table in Base.metadata.sorted_tables} - set(sums)
    assert left == {"leader", "looks", "sweeps", "sessions"}
    with other.read() as connection:
        assert all(connection.execute(select(Base.metadata.tables[name])).first() is None for name in left)


def test_rows_come_back_as_they_were_and_numbers_go_on(database: Database, other: Database, tmp_path: Path) -> None:
    """From SQLite to either kind."""
    _fill(other)
    with Database(session.engine(f"sqlite:///{tmp_path / 'first.db'}")) as first:
        session.upgrade(first)
        with other.freeze() as connection:
            sums = ledger.copy_rows(connection, first)
        with first.freeze() as connection:
            assert ledger.copy_rows(connection, database) == sums
            here = {table.name: _all(connection, table) for table in ledger.copied_tables()}
    with database.freeze() as connection:
        there = {table.name: _all(connection, table) for table in ledger.copied_tables()}
    assert there == here
    assert Desk(database).submit([still(0)]) == 43


def _all(connection: Any, table: Table) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]


def test_what_ran_or_was_rung_for_is_free_and_nothing_is_held_against_it(database: Database, other: Database) -> None:
    desk = Desk(database)
    desk.hire()
    desk.submit([still(0), reel(1), reel(2)], bundle=1)
    desk.next_lease()
    desk.dispatch()
    assert sorted(task.state for task in desk.tasks()) == ["queued", "queued", "running"]
    with database.freeze() as connection:
        ledger.copy_rows(connection, other)
    copied = Desk(other)
    assert [(task.state, task.worker, task.lost_count) for task in copied.tasks()] == [("ready", None, 0)] * 3
    assert [worker.state for worker in progress.workers(other)] == ["left"]
    with other.read() as connection:
        attempts = connection.execute(select(Attempt.outcome, Attempt.ended_at)).all()
    assert [(row.outcome, row.ended_at is not None) for row in attempts] == [("released", True)]
    copied.hire("w2")
    bells = copied.dispatch()
    assert all(ledger.lease(other, bell.task_id, bell.epoch, "w2", SIGNATURE, 60.0) for bell in bells)
    assert len(bells) > 0
    assert [task.state for task in desk.tasks()].count("running") == 1  # where it came from, nothing changed


def test_rows_are_not_put_between_those_of_others(database: Database, other: Database) -> None:
    _fill(other)
    with other.freeze() as connection:
        sums = ledger.copy_rows(connection, database)
        with pytest.raises(InputError) as caught:
            ledger.copy_rows(connection, database)
    assert caught.value.code == "TARGET_IN_USE"
    with database.freeze() as connection:
        assert ledger.table_sums(connection) == sums
