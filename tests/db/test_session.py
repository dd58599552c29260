from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, insert, select, update

from db import session
from db.errors import DatabaseUnavailable, InputError
from db.session import Database
from db.settings import Settings
from db.tables import Base, Sweep
from tests.conftest import Schema
from tests.support.humble import as_nobody, open_folder


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


@pytest.mark.parametrize("mode", ["read", "write"])
def test_an_answer_that_was_not_read_to_its_end_locks_nobody_out(mode: str, schema: Schema) -> None:
    def write(database: Database) -> None:
        with database.write() as connection:
            connection.execute(insert(Sweep), [{"prefix": f"{number}/", "due_at": 0.0} for number in range(2000)])

    with schema.open() as database, schema.open() as other:
        write(other)
        with suppress(ZeroDivisionError), getattr(database, mode)() as connection:
            answer = connection.execute(select(Sweep.id))
            raise ZeroDivisionError(next(answer))
        write(other)
        write(database)
        answer.close()


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


# -- what else may stand at a database's place


def home_with_database(folder: Path) -> Settings:
    settings = Settings(home=folder / "home")
    with session.open_database(settings) as database:
        session.upgrade(database)
        with database.write() as connection:
            connection.execute(insert(Sweep).values(prefix="x/", due_at=0.0))
    return settings


def set_revision(database: Database, revision: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


@pytest.mark.parametrize(("present", "code"), [("9999", "DATABASE_NEWER"), ("0001", "DATABASE_OUTDATED")])
def test_a_database_of_another_release_is_told_apart(schema: Schema, present: str, code: str) -> None:
    with schema.open() as database:
        _, needed = session.revision(database)
        set_revision(database, present)
        with pytest.raises(InputError) as other:
            session.check(database)
        assert (other.value.code, needed in other.value.message) == (code, True)
        if code == "DATABASE_NEWER":
            with pytest.raises(InputError) as newer:
                session.upgrade(database)
            assert newer.value.code == "DATABASE_NEWER"
        set_revision(database, needed)
        session.check(database)


def test_revisions_are_those_of_the_migrations() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(session.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert sorted(script.revision for script in scripts.walk_revisions()) == list(session._revisions())
    assert scripts.get_current_head() == session._revisions()[-1]


@pytest.mark.parametrize("damage", ["truncated", "garbage", "overwritten"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    settings = home_with_database(tmp_path)
    path = settings.home / "reelwright.db"
    content = path.read_bytes()
    path.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "garbage": b"not a database" * 1000,
            "overwritten": content[:4096] + b"\xff" * (len(content) - 4096),
        }[damage]
    )
    with session.open_database(settings) as database:
        with pytest.raises(InputError) as damaged:
            session.check(database)
        assert damaged.value.code == "DATABASE_DAMAGED"
        with pytest.raises(InputError):
            session.upgrade(database)


@pytest.mark.parametrize("closed", ["home", "file", "both"])
def test_a_home_that_may_only_be_read_is_read_and_says_so(closed: str) -> None:
    with open_folder() as folder:
        settings = home_with_database(folder)
        settings.home.chmod(0o555 if closed != "file" else 0o777)
        (settings.home / "reelwright.db").chmod(0o444 if closed != "home" else 0o666)
        with as_nobody(), session.open_database(settings) as database:
            session.check(database)
            session.upgrade(database)
            with database.read() as connection:
                assert connection.scalars(select(Sweep.prefix)).all() == ["x/"]
            with pytest.raises(InputError) as refused, database.write() as connection:
                connection.execute(insert(Sweep).values(prefix="y/", due_at=0.0))
        assert refused.value.code == "HOME_READ_ONLY"
        assert not (settings.home / "reelwright.db-wal").exists()


def test_what_another_is_writing_is_seen_by_who_may_only_read() -> None:
    with open_folder() as folder:
        settings = home_with_database(folder)
        settings.home.chmod(0o755)
        with session.open_database(settings) as owner, owner.write() as connection:
            connection.execute(update(Sweep).values(prefix="z/"))
            owner.engine.dispose()
        with session.open_database(settings) as owner:
            with owner.write() as connection:
                connection.execute(update(Sweep).values(prefix="fresh/"))
            for path in settings.home.iterdir():
                path.chmod(0o444)
            with as_nobody(), session.open_database(settings) as reader, reader.read() as connection:
                assert connection.scalars(select(Sweep.prefix)).all() == ["fresh/"]


@pytest.mark.parametrize("name", ["what?mode=ro", "100%25", "a#b", "a b"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    settings = home_with_database(tmp_path / name)
    assert [path.name for path in settings.home.iterdir()] == ["reelwright.db"]
    with session.Database(session._sqlite(str(settings.home / "reelwright.db"))) as database:
        session.check(database)


def test_a_full_database_is_an_outage_for_lack_of_room(tmp_path: Path) -> None:
    with session.open_database(home_with_database(tmp_path)) as database:
        event.listen(database.engine, "begin", lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1"))
        with pytest.raises(DatabaseUnavailable) as full, database.write() as connection:
            connection.execute(insert(Sweep).values(prefix="x" * 100_000, due_at=0.0))
        assert full.value.code == "NO_SPACE"


def test_a_new_home_is_its_owners_alone_and_an_old_one_is_left_as_it_is(tmp_path: Path) -> None:
    assert home_with_database(tmp_path).home.stat().st_mode & 0o777 == 0o700
    (tmp_path / "old" / "home").mkdir(parents=True, mode=0o755)
    (tmp_path / "old" / "home").chmod(0o755)
    assert home_with_database(tmp_path / "old").home.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("index", ["kept", "lost"])
def test_what_a_copied_log_holds_is_seen_where_nothing_may_be_written(index: str) -> None:
    with open_folder() as folder:
        settings = home_with_database(folder)
        with session.open_database(settings) as owner:
            with owner.write() as connection:
                connection.execute(update(Sweep).values(prefix="fresh/"))
            shutil.copytree(settings.home, folder / "copy")
        copy = settings.model_copy(update={"home": folder / "copy"})
        if index == "lost":
            (copy.home / "reelwright.db-shm").unlink()
        for path in [*copy.home.iterdir(), copy.home]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = sorted(copy.home.iterdir())
        with as_nobody(), session.open_database(copy) as one, session.open_database(copy) as another:
            for reader in (one, another):
                with reader.read() as connection:
                    assert connection.scalars(select(Sweep.prefix)).all() == ["fresh/"]
            with pytest.raises(InputError, match=str(copy.home)) as refused, one.write() as connection:
                connection.execute(insert(Sweep).values(prefix="y/", due_at=0.0))
        assert refused.value.code == "HOME_READ_ONLY"
        assert sorted(copy.home.iterdir()) == before
