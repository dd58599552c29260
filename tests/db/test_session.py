from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, update

from db import session
from db.errors import DatabaseUnavailable, InputError
from db.session import Database
from db.settings import Settings
from db.tables import Base, Sweep
from tests.conftest import Schema


def test_migrations_and_tables_are_equal(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_an_empty_database_is_named_outdated(tmp_path: Path) -> None:
    with session.open_database(Settings(home=tmp_path)) as database:
        with pytest.raises(InputError) as outdated:
            session.check(database)
        assert outdated.value.code == "DATABASE_OUTDATED"
        with pytest.raises(InputError) as missing, database.read() as connection:
            connection.execute(select(Sweep))
        assert missing.value.code == "DATABASE_OUTDATED"
        session.upgrade(database)
        session.check(database)
        session.upgrade(database)


def test_many_writers_at_once_all_get_through(schema: Schema) -> None:
    def write() -> None:
        with schema.open() as database:
            for _ in range(25):
                with database.write() as connection:
                    connection.scalar(select(Sweep.id).limit(1))
                    connection.execute(insert(Sweep).values(prefix="x/", due_at=0.0))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with schema.open() as database, database.read() as connection:
        assert len(connection.execute(select(Sweep.id)).all()) == 150


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(Sweep).values(prefix="x/", due_at=0.0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.read() as connection:
        assert connection.execute(select(Sweep)).all() == []


def test_a_writer_that_falls_silent_loses_its_locks(postgres_schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a worker does whose process is stopped in the middle of a heartbeat."""
    monkeypatch.setattr(session, "IDLE_TIMEOUT_SECONDS", 1)
    silent, ended = threading.Event(), threading.Event()
    said: list[BaseException] = []

    def fall_silent() -> None:
        try:
            with postgres_schema.open() as database, database.write() as connection:
                connection.execute(update(Sweep).values(due_at=1.0))
                silent.set()
                ended.wait(60)
                connection.execute(update(Sweep).values(due_at=2.0))
        except BaseException as error:
            said.append(error)

    with postgres_schema.open() as database:
        with database.write() as connection:
            connection.execute(insert(Sweep).values(prefix="x/", due_at=0.0))
        thread = threading.Thread(target=fall_silent)
        thread.start()
        assert silent.wait(10)
        with database.write() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '20s'")
            connection.execute(update(Sweep).values(due_at=3.0))
        ended.set()
        thread.join(10)
        with database.read() as connection:
            assert set(connection.scalars(select(Sweep.due_at))) == {3.0}
    assert [type(error) for error in said] == [DatabaseUnavailable]


def test_the_clock_is_the_databases(database: Database) -> None:
    import time

    with database.read() as connection:
        assert connection.scalar(select(database.now)) == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("url", ["mysql://x", "not a url", "oracle+x://y"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(InputError) as refused:
        session.engine(url)
    assert refused.value.code == "BAD_SETTING"


def test_a_database_that_does_not_answer_is_an_outage() -> None:
    database = session.open_database(Settings(database_url="postgresql://nobody@127.0.0.1:1/x"))
    with database, pytest.raises(DatabaseUnavailable), database.read():
        pass
