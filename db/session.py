"""The database: engine, transactions, clock, schema. Imports sqlalchemy; seen by ``ledger`` and ``progress``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Float,
    create_engine,
    event,
    exc,
    inspect,
    literal,
    literal_column,
    make_url,
    text,
)
from sqlalchemy.sql.elements import ColumnElement

from db.errors import DatabaseUnavailable, InputError, ReelwrightError, lacks_room
from db.settings import DATABASE_FILE, Settings, make_home

BUSY_TIMEOUT_SECONDS = 30.0
IDLE_TIMEOUT_SECONDS = 10
"""So long PostgreSQL waits for a writer that says nothing, then takes its locks away: its process may be stopped."""


class Database:
    """One database and the transactions on it.

    Writers on SQLite begin with ``BEGIN IMMEDIATE``: a plain ``BEGIN`` that turns into a write later fails with
    "database is locked" as soon as two processes do it at once, and no busy timeout helps.
    """

    def __init__(self, engine: Engine, *, clock: float | None = None) -> None:
        """Wrap an engine; ``clock`` replaces the database's clock in tests."""
        self.engine = engine
        self.clock = clock
        self._writers = engine.execution_options(writer=True)
        self._place = _place(engine.url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite, where writers exclude one another."""
        return self.engine.dialect.name == "sqlite"

    @property
    def now(self) -> ColumnElement[float]:
        """The database's clock as an SQL expression, in seconds since 1970."""
        if self.clock is not None:
            return literal(self.clock, Float)
        if self.is_sqlite:
            return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
        return literal_column("EXTRACT(EPOCH FROM clock_timestamp())::double precision", Float)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One writing transaction: committed at the end, rolled back on any exception.

        Raises:
            DatabaseUnavailable: The database is away, or too busy for too long.
        """
        with self._transaction(self._writers) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction with a consistent view."""
        with self._transaction(self.engine) as connection:
            yield connection

    @contextmanager
    def freeze(self) -> Iterator[Connection]:
        """One reading transaction in which every statement sees the database at the same moment."""
        with self._transaction(
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        ) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with _translate_errors(self._place), engine.connect() as connection:
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                # To SQLite, an answer that was not read to its end goes on over a rollback, for as long as anybody
                # holds the exception; and no writer could begin on its connection once another has written.
                if self.is_sqlite:
                    connection.invalidate()
                raise

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """Open the database that the settings name, without touching its schema.

    One in a home that this user may not write to is opened for reading only.

    Raises:
        InputError: The URL is of no known kind, or its driver is not installed.
    """
    if settings.database_url:
        return Database(engine(settings.database_url))
    make_home(settings)
    return Database(_sqlite(str(settings.home.resolve() / DATABASE_FILE)))


def engine(url_text: str) -> Engine:
    """Make an engine for SQLite or PostgreSQL; see :func:`open_database`."""
    try:
        url = make_url(url_text)
    except exc.ArgumentError as error:
        raise InputError("database_url is not an SQLAlchemy URL", code="BAD_SETTING") from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        return _sqlite(url.database or "")
    if url.get_backend_name() != "postgresql":
        raise InputError(
            f"database_url: {url.drivername} is not supported; use SQLite or PostgreSQL", code="BAD_SETTING"
        )
    return _postgres(url)


def _postgres(url: URL) -> Engine:
    try:
        new_engine = create_engine(
            url, pool_pre_ping=True, pool_size=4, max_overflow=8, isolation_level="READ COMMITTED"
        )
    except ModuleNotFoundError as error:
        raise InputError("PostgreSQL's driver psycopg is not installed", code="SERVER_EXTRA_MISSING") from error

    @event.listens_for(new_engine, "begin")
    def _set_idle_timeout(connection: Connection) -> None:
        # A worker that is stopped in the middle of a heartbeat would keep the reaper from ever freeing its lease.
        if connection.get_execution_options().get("writer"):
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_SECONDS}s'")

    return new_engine


def _sqlite(path: str) -> Engine:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    read_only = _is_read_only(path)
    url = _read_only_url(path) if read_only else URL.create("sqlite", database=path)
    new_engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    pragmas = (
        (f"locking_mode={'EXCLUSIVE' if 'vfs' in url.query else 'NORMAL'}", "query_only=ON")
        if read_only
        else ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON")
    )

    @event.listens_for(new_engine, "connect")
    def _set_pragmas(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # pysqlite would begin transactions by itself, and too late
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(new_engine, "begin")
    def _begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return new_engine


def _is_read_only(path: str) -> bool:
    """Whether an SQLite file is there that may only be read: its own rights, its folder's, or its disk's."""
    effective = os.access in os.supports_effective_ids
    places = (path, os.path.dirname(path))
    return os.path.exists(path) and not all(os.access(place, os.W_OK, effective_ids=effective) for place in places)


def _read_only_url(path: str) -> URL:
    """Address a file for reading. Beside one that nobody has open lies no log, and none can be made: none is asked for.

    Where a log is left over without its index, as in a copy, what is in the log counts, and nobody has the file open:
    no locks are asked for, and with locks of its own SQLite makes the index in memory.
    """
    logged = os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0
    how = {} if os.path.exists(f"{path}-shm") else {"vfs": "unix-none"} if logged else {"immutable": "1"}
    return URL.create("sqlite", database=f"file:{quote(path)}", query={"mode": "ro", "uri": "true"} | how)


def _place(url: URL) -> str:
    """Name a database for people: the file of one that lies on a disk, nothing of one on a server."""
    name = unquote((url.database or "").removeprefix("file:"))
    return f" {name!r:.300}" if url.get_backend_name() == "sqlite" else ""


def _named(error: exc.DBAPIError, place: str) -> ReelwrightError | None:
    """Return our error for what a database says by a code of its own; none when it has no name here."""
    reason = " ".join(str(error.orig).split())[:200]
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    if lacks_room(error.orig) or name == "SQLITE_IOERR_SHMSIZE" or getattr(error.orig, "sqlstate", "") == "53100":
        return DatabaseUnavailable(f"There is no room for the database{place}: {reason}", code="NO_SPACE")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return InputError(f"The database{place} cannot be read: {reason}", code="DATABASE_DAMAGED")
    if name.startswith("SQLITE_READONLY"):
        return InputError(f"The database{place} may only be read here", code="HOME_READ_ONLY")
    if name.startswith("SQLITE_IOERR"):
        remedy = "Check its disk, and the limit on the size of files (`ulimit -f`)."
        return DatabaseUnavailable(f"The database's file{place} cannot be read or written: {reason}", remedy=remedy)
    if name.startswith("SQLITE_CANTOPEN"):
        remedy = "Check who may use the home and its disk; if it was copied, copy all files that begin with its name."
        return DatabaseUnavailable(f"The database's file{place} cannot be opened: {reason}", remedy=remedy)
    return None


@contextmanager
def _translate_errors(place: str) -> Iterator[None]:
    try:
        with _translate_named_errors(place):
            yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())[:200]
        if "no such table" in reason or "no such column" in reason:
            raise InputError(f"The database lacks part of its schema: {reason}", code="DATABASE_OUTDATED") from error
        raise DatabaseUnavailable(f"The database does not answer: {reason}") from error
    except exc.ProgrammingError as error:
        if "does not exist" in str(error.orig):
            raise InputError("The database lacks part of its schema", code="DATABASE_OUTDATED") from error
        raise
    except exc.DataError as error:  # PostgreSQL: NUL in a text, a number beyond its columns
        reason = " ".join(str(error.orig).split())[:200]
        raise InputError(f"The database takes no such value: {reason}") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The connection to the database broke") from error
        raise


@contextmanager
def _translate_named_errors(place: str) -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        named = _named(error, place)
        if named is None:
            raise
        raise named from error


def _alembic(connection: Connection) -> Any:
    from alembic.config import Config  # only the schema commands need alembic, and it is slow to import

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database) -> None:
    """Bring the schema to this release's; several processes may do so at once.

    Raises:
        InputError: ``DATABASE_NEWER``; ``HOME_READ_ONLY`` where it is older and may only be read.
    """
    if _schema_problem(database) is None:
        return
    from alembic import command

    with database.write() as connection:
        if not database.is_sqlite:
            # Two orchestrators that start together must not both create the tables.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7267657)")
        command.upgrade(_alembic(connection), "head")


def revision(database: Database) -> tuple[str | None, str]:
    """Return the schema revision found in the database (none when there is none) and the one that is needed."""
    with database.read() as connection:
        table = "alembic_version"
        present = (
            connection.scalar(text(f"SELECT version_num FROM {table}"))
            if inspect(connection).has_table(table)
            else None
        )
    return present, _revisions()[-1]


def check(database: Database) -> None:
    """Make sure that the schema is this release's. Every command asks this before anything else.

    Raises:
        InputError: ``DATABASE_OUTDATED``, ``DATABASE_NEWER``, or ``DATABASE_DAMAGED`` where nothing can be read.
    """
    problem = _schema_problem(database)
    if problem is not None:
        raise problem


def _schema_problem(database: Database) -> InputError | None:
    """Return what is wrong with an older schema, raise for a newer one."""
    present, needed = revision(database)
    message = f"The database's schema is {present or 'empty'}, {needed} is needed"
    if present is not None and present not in _revisions():
        raise InputError(message, code="DATABASE_NEWER")
    return InputError(message, code="DATABASE_OUTDATED") if present != needed else None


@cache
def _revisions() -> tuple[str, ...]:
    """Return all schemas of this release, oldest first: the numbers with which the migrations' files begin."""
    # Alembic knows them too, but takes a third of a second to import.
    names = (path.name for path in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py"))
    return tuple(sorted(name.partition("_")[0] for name in names))
