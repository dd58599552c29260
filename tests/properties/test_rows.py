"""Rows that no release writes: another program's, or a hand's. Each is named by whatever reads it; none is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import session
from db.session import Database
from db.settings import Settings
from db.store import open_store
from orchestrator import cli, exit_codes
from orchestrator.submit import SubmitOptions, submit
from tests.support.finished import finish

COMMANDS = ("status 1", "get 1 --out OUT", "get 1 --bag --out BAG", "rerun 1 --state done")
ODD = ("x", "[[1]]")
Home = tuple[Settings, Database]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with one job, of which one item is done."""
    settings = Settings(home=tmp_path / "home")
    (tmp_path / "a.jpg").write_bytes(b"a")
    with session.open_database(settings) as database:
        session.upgrade(database)
        submit(settings, database, tmp_path / "a.jpg", SubmitOptions(recipe="identity"))
        blob = open_store(settings).put_bytes("jobs/1/one/s.jpg", b"one")
        finish(database, 1, "a.jpg", {"still": blob})
        yield settings, database


@pytest.mark.parametrize(
    ("column", "command"),
    [
        ("jobs.recipe_json", "status 1"),
        ("jobs.options_json", "verify 1"),
        ("jobs.state", "status"),
        ("items.source_json", "verify 1"),
        ("items.recipe_json", "status 1"),
        ("items.extra_json", "get 1 --out OUT"),
        ("items.facts_json", "verify 1"),
        ("items.profile_json", "verify 1"),
        ("items.substitutes_json", "verify 1"),
        ("items.base_json", "verify 1"),
        ("items.state", "status 1"),
        ("results.result_json", "get 1 --out OUT"),
    ],
)
def test_what_no_release_writes_is_named_with_its_row(
    column: str, command: str, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, database = home
    table, _, name = column.partition(".")
    for value in ODD:
        with database.write() as connection:
            connection.execute(text(f"UPDATE {table} SET {name} = :value"), {"value": value})
        assert _run(command, settings, tmp_path) == exit_codes.BAD_INPUT
        said = capsys.readouterr().err
        assert "RECORD_UNREADABLE" in said
        assert table.rstrip("s") in said
        codes = {line: _run(line, settings, tmp_path) for line in COMMANDS}
        assert exit_codes.FAULT not in codes.values(), (column, value, codes)


def _run(line: str, settings: Settings, folder: Path) -> int:
    words = line.replace("OUT", str(folder / "out")).replace("BAG", str(folder / "bag")).split()
    return cli.run(["--home", str(settings.home), *words])
