"""What an earlier release left is read, and gone on with, by this one.

Each archive in ``releases`` is the home of one release after a day of work: a job with two photos, one of them done
twice, a reel, and a file that is none; and a job whose reel was half done when everything was killed. ``media`` holds
its sources, ``rows.sql`` its database; ``/archive`` stands for where it lay.
"""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import MetaData, insert, select

from db import ledger, lineage, pages, progress, session
from db.selection import Selection
from db.session import Database
from tests.journeys.house import House, embedded
from tests.support import servers

RELEASES = sorted((Path(__file__).parent / "releases").glob("*.zip"))


def _unpack(release: Path, folder: Path) -> Path:
    """Make a release's home again; returns its folder."""
    with zipfile.ZipFile(release) as archive:
        archive.extractall(folder)
    home = folder / "home"
    home.mkdir()
    shutil.move(folder / "store", home / "store")
    rows = (folder / "rows.sql").read_text(encoding="utf-8").replace("/archive", str(folder))
    with closing(sqlite3.connect(home / "reelwright.db")) as database:
        database.executescript(rows)
    return home


@pytest.fixture(params=RELEASES, ids=[path.stem for path in RELEASES])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return _unpack(request.param, tmp_path)


def _states(house: House) -> dict[int, str]:
    return {row.id: str(row.state) for row in pages.job_page(house.database, limit=10).rows}


def test_its_results_stand_and_its_unfinished_work_is_finished(home: Path) -> None:
    with embedded(home, signature_wait_seconds=1.0) as house:
        assert _states(house) == {2: "running", 1: "done_with_failures"}
        assert house.item_states(1) == {"a": "done", "b": "done", "broken": "failed", "reel": "done"}
        house.assert_sound(1)
        frames = house.framemd5(1)
        assert len(frames) == 24
        (record,) = lineage.lineages(house.database, 1, external_ids=("a",))
        assert [each.number for each in record.generations] == [1, 2]
        house.lead()
        house.hire(1)
        assert house.wait_for(2) == "done"
        house.assert_sound(2)
        assert len(house.framemd5(2, "half")) == 48
        ledger.rerun(house.database, 1, Selection(external_ids=("reel", "a")))
        assert house.wait_for(1) == "done_with_failures"
        house.assert_sound(1)
        assert len(house.framemd5(1)) == 24
        assert progress.progress(house.database, 1).items_failed == 1


def test_its_rows_come_to_the_same_in_both_databases(home: Path, postgres: servers.Postgres) -> None:
    old = session.engine(f"sqlite:///{home / 'reelwright.db'}")
    with Database(old) as small, Database(session.engine(postgres.new_database())) as large:
        tables = MetaData()
        with small.read() as connection:
            tables.reflect(connection)
            revision = connection.scalar(select(tables.tables["alembic_version"]))
        with large.write() as connection, small.read() as source:
            command.upgrade(session._alembic(connection), str(revision))
            for table in tables.sorted_tables:
                rows = [row._asdict() for row in source.execute(select(table))]
                if rows and table.name != "alembic_version":
                    there = MetaData()
                    there.reflect(connection, only=[table.name])
                    connection.execute(insert(there.tables[table.name]), rows)
        sums = []
        for database in (small, large):
            session.upgrade(database)
            session.check(database)
            with database.freeze() as connection:
                sums.append(ledger.table_sums(connection))
        assert sums[0] == sums[1]
        assert sums[0]["items"].rows == 5
