"""The database: engine, transactions, clock, schema. Imports sqlalchemy; seen by ``ledger`` and ``progress``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL, Connection, Engine, Float, create_engine, event, exc, literal, literal_column, make_url
from sqlalchemy.sql.elements import ColumnElement

from db.errors import DatabaseUnavailable, InputError
from db.settings import Settings

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
        with _translate_errors(), self._writers.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction with a consistent view."""
        with _translate_errors(), self.engine.begin() as connection:
            yield connection

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.dispose()


def open_database(settings: Settings) -> Database:
    """Open the database that the settings name, without touching its schema.

    Raises:
        InputError: The URL is of no known kind, or its driver is not installed.
    """
    return Database(engine(settings.database))


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
    new_engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_SECONDS})

    @event.listens_for(new_engine, "connect")
    def _set_pragmas(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # pysqlite would begin transactions by itself, and too late
        cursor = dbapi_connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(new_engine, "begin")
    def _begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return new_engine


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        text = " ".join(str(getattr(error, "orig", error)).split())[:200]
        if "no such table" in text or "no such column" in text:
            raise InputError(f"The database lacks part of its schema: {text}", code="DATABASE_OUTDATED") from error
        raise DatabaseUnavailable(f"The database does not answer: {text}") from error
    except exc.ProgrammingError as error:
        if "does not exist" in str(error.orig):
            raise InputError("The database lacks part of its schema", code="DATABASE_OUTDATED") from error
        raise
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable("The connection to the database broke") from error
        raise


def _alembic(connection: Connection) -> Any:
    from alembic.config import Config  # only the schema commands need alembic, and it is slow to import

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database) -> None:
    """Bring the schema to this release's; several processes may do so at once."""
    from alembic import command

    with database.write() as connection:
        if not database.is_sqlite:
            # Two orchestrators that start together must not both create the tables.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7267657)")
        command.upgrade(_alembic(connection), "head")


def revision(database: Database) -> tuple[str | None, str]:
    """Return the schema revision found in the database (none when there is none) and the one that is needed."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with database.read() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        needed = ScriptDirectory.from_config(_alembic(connection)).get_current_head()
    return present, needed or ""


def check(database: Database) -> None:
    """Make sure that the schema is this release's.

    Raises:
        InputError: ``DATABASE_OUTDATED`` when it is not.
    """
    present, needed = revision(database)
    if present != needed:
        raise InputError(f"The database's schema is {present or 'empty'}, {needed} is needed", code="DATABASE_OUTDATED")
