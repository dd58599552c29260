"""Fixtures for all tests: databases, stores and servers, each started once and only when a test needs it."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sqlite3
import sys
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# An outside package with a stage of its own, for this process and for every worker that it starts.
PLUGIN = str(Path(__file__).parent / "support" / "plugin")
sys.path.insert(0, PLUGIN)
# Processes that tests start run this checkout's code, wherever the package is installed from.
os.environ["PYTHONPATH"] = os.pathsep.join([PLUGIN, str(Path(__file__).parents[1])])
# Nor does each compile it anew, whatever the surroundings say.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# One thread, as workers have, and as stored numbers were computed: two spend thousands of tiny steps waiting for one
# another. Libraries ask when they are loaded.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# A shell starts what runs in the background deaf to Ctrl-C, and children inherit that; tests interrupt commands.
signal.signal(signal.SIGINT, signal.default_int_handler)

from db import session
from db.session import Database
from db.settings import DATABASE_FILE, Settings
from db.store import open_store
from db.store.base import Store
from db.tables import Base

with warnings.catch_warnings():
    # The server packages warn about their own surroundings when they are imported.
    warnings.simplefilter("ignore")
    from tests.support import servers


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Spare the garbage collector what stays until the end: a million objects of modules and tests, at every turn."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # libraries complain of what they gave out and never got back


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Send reports as text: one about a file whose name is none would end the process that sends it, unread."""
    return _as_text((yield))


def _as_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_as_text(name): _as_text(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_as_text, value))
    return value


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Redis]:
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[servers.S3]:
    with servers.s3() as server:
        yield server


@dataclass
class Schema:
    """A fresh database with the schema in it."""

    url: str

    def open(self, clock: float | None = None) -> Database:
        return Database(session.engine(self.url), clock=clock)


@pytest.fixture(scope="session")
def postgres_schema(postgres: servers.Postgres) -> Schema:
    made = Schema(postgres.new_database())
    with made.open() as database:
        session.upgrade(database)
    return made


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with the schema and no rows, made once: every test gets a copy."""
    path = tmp_path_factory.mktemp("empty") / DATABASE_FILE
    with Schema(f"sqlite:///{path}").open() as database:
        session.upgrade(database)
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


# Emptying thirty tables by TRUNCATE takes a tenth of a second, whatever is in them.
_CLEAR = ";".join(
    (
        "SET LOCAL session_replication_role = replica",  # rows go in any order
        *(f"DELETE FROM {name}" for name in Base.metadata.tables),
        "SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences WHERE last_value IS NOT NULL",
    )
)


@pytest.fixture(params=["sqlite", "postgres"])
def schema(request: pytest.FixtureRequest, tmp_path: Path) -> Schema:
    """Both databases, one after the other: every test of the ledger holds on each."""
    if request.param == "postgres":
        made: Schema = request.getfixturevalue("postgres_schema")
        with made.open() as database, database.write() as connection:
            connection.exec_driver_sql(_CLEAR)
        return made
    empty: Path = request.getfixturevalue("empty_database")
    return Schema(f"sqlite:///{shutil.copy(empty, tmp_path)}")


@pytest.fixture
def database(schema: Schema) -> Iterator[Database]:
    with schema.open() as opened:
        yield opened


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(Settings(home=tmp_path / "home"))
    server: servers.S3 = request.getfixturevalue("s3")
    bucket = f"bucket-{tmp_path.name[-40:].replace('_', '-').lower()}"
    return open_store(Settings(store_uri=f"s3://{bucket}/archive", **server.settings))
