"""Whatever is submitted becomes a job that is all there, or none; its report can be submitted again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import progress, session
from db.errors import ReelwrightError
from db.session import Database
from db.settings import Settings
from db.states import JobState
from orchestrator import submit as submitting
from orchestrator.results.report import write_report
from orchestrator.submit import SubmitOptions, submit
from tests.properties.hostile import ENTRIES, FEW, FILE_NAMES, RECIPES


@pytest.fixture(scope="module")
def desk() -> Iterator[tuple[Settings, Database]]:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), max_manifest_line_bytes=20_000)
        with session.open_database(settings) as database:
            session.upgrade(database)
            yield settings, database


def _assert_all_there(database: Database, job_id: int) -> int:
    assert progress.job(database, job_id).state is JobState.READY
    counts = progress.progress(database, job_id)
    items = list(progress.items(database, job_id))
    assert len(items) == counts.items_total
    assert all(item.code is None or (item.message or "").isprintable() for item in items)
    return len(items)


@FEW
@given(st.lists(ENTRIES | st.builds(lambda recipe: {"uri": "a.jpg", "recipe": recipe}, RECIPES), max_size=12))
def test_a_job_has_every_line_and_its_report_too(
    desk: tuple[Settings, Database], entries: list[dict[str, Any]]
) -> None:
    settings, database = desk
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(submitting, "CHUNK_LINES", 3)
        path = Path(name) / "m.jsonl"
        path.write_text("\n".join(json.dumps(each) for each in [*entries, {"id": "last", "uri": "z.jpg"}]))
        made = submit(settings, database, path, SubmitOptions(check_files=False, new=True))
        assert _assert_all_there(database, made.job_id) == len(entries) + 1
        report = write_report(database, made.job_id, settings.home / "results" / f"job-{made.job_id}")
        again = submit(settings, database, report.csv_path, SubmitOptions(check_files=False, new=True))
        assert _assert_all_there(database, again.job_id) == len(entries) + 1
        first, second = (
            [item.external_id for item in progress.items(database, job)] for job in (made.job_id, again.job_id)
        )
        assert first == second


@FEW
@given(st.lists(FILE_NAMES, max_size=6, unique=True))
def test_a_folder_becomes_a_job_or_is_refused(desk: tuple[Settings, Database], names: list[str]) -> None:
    settings, database = desk
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            place = Path(folder) / name
            place.symlink_to(name) if number % 3 == 2 else place.write_bytes(b"x")
        before = len(progress.jobs(database))
        try:
            made = submit(settings, database, folder, SubmitOptions(new=True))
        except ReelwrightError:
            assert len(progress.jobs(database)) == before
        else:
            _assert_all_there(database, made.job_id)
            write_report(database, made.job_id, Path(folder) / "out")
